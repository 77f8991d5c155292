"""Imitated links: the simulator's rules, shared by processes, for real; losses; bad links."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal import catalog, codec
from shoal.errors import InputError
from shoal.program import CLIENT, Edge, Header, Hop, Media, Program, Route, TensorSpec, Workload
from shoal.wire import Delivery, Endpoint, Left, write_links
from shoal.wire.shaping import BOARD_FILE, Board, Carrier, Losses, carrier, read_links
from tests.harness import answered, coordinating, zeros
from tests.programs import chain

A, B = "a/cpu", "b/cpu"
FLOATS = 25_000
RADIO, CABLE = Hop("radio", 1e6, 0.02), Hop("cable", 1e7, 0.001)


def program(*edges: tuple[str, str]) -> Program:
    spec = TensorSpec("float32", (FLOATS,))
    made = tuple(Edge(f"e{i}", *way, "x", "x", spec, 8) for i, way in enumerate(edges))
    return Program("p", (A, B), made, (), (Route("main", (), (), ()),), 8, {})


BOTH = program((A, CLIENT), (B, CLIENT))


@contextmanager
def carries(folder: Path, hops: Mapping[str, tuple[Hop, ...]], losses: Losses | None = None) -> Iterator[Carrier]:
    folder.mkdir(exist_ok=True)
    made = carrier(BOTH, write_links(hops, folder), losses or Losses())
    yield made
    made.close()


SENDS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**6), st.floats(0, 0.1)), max_size=30)


@given(sends=SENDS)
def test_messages_are_due_when_the_simulator_says(
    sends: list[tuple[int, int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ways = {"e0": (RADIO, CABLE), "e1": (RADIO,)}
    simulated, now_s = Media(), 0.0
    with carries(tmp_path_factory.mktemp("links"), ways) as real:
        for item, (edge, size, pause_s) in enumerate(sends):
            now_s += pause_s
            assert real.due_s(edge, item, size, now_s) == simulated.carry(ways[f"e{edge}"], size, now_s)


TAKER = """
import sys
from pathlib import Path
from shoal.program import Hop
from shoal.wire.shaping import Board
board = Board(Path(sys.argv[1]), ("radio",))
for _ in range(2000):
    with board.locked():
        board.take(Hop("radio", 1.0, 0.0), 1, 0.0)
"""


def test_processes_take_turns_on_a_medium(tmp_path: Path) -> None:
    path = write_links({"e0": (replace(RADIO),)}, tmp_path).with_name(BOARD_FILE)
    root = str(Path(shoal.__file__).parents[1])
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKER, str(path)], env={"PYTHONPATH": root}) for _ in range(3)
    ]
    assert [taker.wait(20) for taker in takers] == [0, 0, 0]
    board = Board(path, ("radio",))
    with board.locked():
        assert board.take(Hop("radio", 1.0, 0.0), 0, 0.0) == 6000
    board.close()


def ends(
    folder: Path, what: Program, hops: Mapping[str, tuple[Hop, ...]], options: str = ""
) -> dict[str, Endpoint]:
    over = f"shaped:inner=memory,links={write_links(hops, folder)}{options}"
    heard: SimpleQueue[str] = SimpleQueue()
    transport = catalog.make("wire/transports", over)
    with ThreadPoolExecutor(4) as pool:
        units = {unit: pool.submit(transport.worker, unit, what, "", heard.put) for unit in what.units}
        addresses = {address: address for address in (heard.get(timeout=5) for _ in units)}
        client = transport.client(what, addresses)
        return {CLIENT: client} | {unit: future.result(5) for unit, future in units.items()}


def send(end: Endpoint, edge: int, item: int) -> None:
    array = np.full(FLOATS, item, np.float32)
    end.send(Header(edge, item, dtype="float32", shape=(FLOATS,), payload_bytes=array.nbytes), array)


def take(end: Endpoint) -> tuple[int, float]:
    """An item's number as its payload has it, and when it came."""
    found = end.receive(5)
    now_s = time.monotonic()
    assert isinstance(found, Delivery)
    assert found.array is not None
    item = int(found.array[-1])
    end.release(found)
    return item, now_s


@pytest.mark.serial
def test_two_senders_on_one_radio_wait_for_each_other_and_two_cables_do_not(tmp_path: Path) -> None:
    """100 kB at 1 MB/s take 0.1 s, and 20 ms of latency on top."""
    for shared, expected_s in ((True, [0.12, 0.22]), (False, [0.12, 0.12])):
        folder = tmp_path / str(shared)
        folder.mkdir()
        ways = {name: (replace(RADIO, medium="radio" if shared else name),) for name in ("e0", "e1")}
        made = ends(folder, BOTH, ways)
        begun_s = time.monotonic()
        send(made[A], 0, 1)
        send(made[B], 1, 2)
        assert made[CLIENT].received_bytes == 0
        came = [take(made[CLIENT]) for _ in range(2)]
        assert sorted(item for item, _ in came) == [1, 2]
        assert [moment_s - begun_s for _, moment_s in came] == pytest.approx(expected_s, abs=0.02)
        assert made[CLIENT].received_bytes == 2 * 4 * FLOATS
        for end in made.values():
            end.close()


@pytest.mark.serial
def test_waiting_for_what_is_under_way_uses_no_processor_and_keeps_its_timeout(tmp_path: Path) -> None:
    made = ends(tmp_path, BOTH, {"e0": (Hop("slow", 2e5, 0.1),)})
    send(made[A], 0, 1)
    used_s, begun_s = time.process_time(), time.monotonic()
    assert made[CLIENT].receive(0.2) is None
    assert 0.2 <= time.monotonic() - begun_s < 0.25
    item, came_s = take(made[CLIENT])
    assert item == 1
    assert came_s - begun_s == pytest.approx(0.6, abs=0.02)
    assert time.process_time() - used_s < 0.02
    for end in made.values():
        end.close()


def test_a_peer_leaves_after_its_messages_and_losses_keep_the_order(tmp_path: Path) -> None:
    made = ends(tmp_path, BOTH, {"e0": (Hop("bad", 1e8, 0.005),)}, ",loss=0.3,mtu_bytes=10000,seed=7")
    for item in range(8):
        send(made[A], 0, item)
    made[A].close()
    assert [take(made[CLIENT])[0] for _ in range(8)] == list(range(8))
    assert made[CLIENT].receive(5) == Left(A, "closed its connection")
    for end in made.values():
        end.close()


def test_a_loss_costs_a_round_trip_and_the_room_of_its_packets(tmp_path: Path) -> None:
    """One packet a message: it is sent 1 / (1 - loss) times on average, each time more one round trip later."""
    loss, items, hop = 0.25, 4000, Hop("bad", 1e6, 0.01)
    losses = Losses(loss, mtu_bytes=1000, seed=3)

    def took(name: str, losses: Losses) -> list[float]:
        with carries(tmp_path / name, {"e0": (hop,)}, losses) as made:
            return [made.due_s(0, item, 1000, item * 10.0) - item * 10.0 for item in range(items)]

    took_s = took("one", losses)
    assert took_s == took("two", losses) != took("three", replace(losses, seed=4))
    once_s, more_s = 0.001 + 0.01, 0.001 + 0.02
    counts = {round((seconds - once_s) / more_s, 3) for seconds in took_s}
    assert counts <= set(range(12))
    assert np.mean(took_s) == pytest.approx(once_s + more_s * loss / (1 - loss), rel=0.05)


@pytest.mark.serial
def test_real_workers_take_the_links_time(tmp_path: Path) -> None:
    """A chain of two workers in processes of their own: 20 + 1 + 20 ms of latency, and 4 kB over 100 kB/s once."""
    made = chain(A, B, floats=1000)
    first, middle, last = (
        edge.name for edge in sorted(made.edges, key=lambda edge: made.parties.index(edge.source))
    )
    ways = {first: (RADIO,), middle: (Hop("slow", 1e5, 0.001),), last: (RADIO,)}
    over = f"shaped:inner=tcp,links={write_links(ways, tmp_path)}"
    with coordinating(made, tmp_path, over) as (coordinator, _):
        observed = answered(coordinator, Workload(5, window=1), zeros(made)).outcome.observed
    took_s = min(answer.answered_s - answer.arrived_s for answer in observed.answers)
    assert took_s == pytest.approx(0.024 + 0.041 + 0.024, abs=0.01)


def test_bad_links_are_refused(tmp_path: Path) -> None:
    for hop, named in ((Hop("none", 0.0, 0.1), "0 B/s"), (Hop("back", 1.0, -1.0), "-1 s")):
        with pytest.raises(InputError, match=named):
            write_links({"e0": (hop,)}, tmp_path)
    for losses in ({"loss": 1.0}, {"loss": -0.1}, {"loss": float("nan")}, {"mtu_bytes": 0}):
        with pytest.raises(InputError, match="needed"):
            Losses(**losses)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not known"):
        catalog.make("wire/transports", "shaped").client(BOTH, {})
    with pytest.raises(InputError, match="cannot read"):
        catalog.make("wire/transports", "shaped:links=nowhere.json").client(BOTH, {})
    with pytest.raises(InputError, match="once"):
        catalog.make("wire/transports", "shaped:inner=shaped")
    path = write_links({"e0": (RADIO,)}, tmp_path)
    codec.save(replace(read_links(path), boot="another"), path)
    with pytest.raises(InputError, match="one machine"):
        read_links(path)

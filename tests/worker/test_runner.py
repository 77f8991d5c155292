"""One unit at work, over the memory transport, with the test as its client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import WireError
from shoal.program import Header, Item, Pace, Program, Route, Task, TensorSpec, Workload
from shoal.program.bundle import Bundle
from shoal.program.message import CONTROL_EDGE, NOTHING, Flag
from shoal.wire import Delivery
from shoal.wire.transports.memory import Memory, MemoryEndpoint
from shoal.worker import Clock, Runner, load
from tests import toy
from tests.harness import answered, coordinating, manifest
from tests.programs import Piece, chain, paced, program

UNIT = "a/cpu"
WAIT_S = 5.0


@contextmanager
def bench(made: Program, pace: Pace | None = None) -> Iterator[tuple[Runner, MemoryEndpoint, MemoryEndpoint]]:
    """A runner of the program's only unit, its endpoint, and its client's."""
    (unit,) = made.units
    transport, found = Memory(), {}
    thread = threading.Thread(target=lambda: found.update(w=transport.worker(unit, made, "", lambda _: None)))
    thread.start()
    client = transport.client(made, {unit: unit})
    thread.join(WAIT_S)
    sessions = load(Bundle(made, manifest(made, unit, Path(), pace), Path()))
    yield Runner(made, unit, sessions, found["w"], Clock(), pace), found["w"], client
    found["w"].close()
    client.close()


def give(client: MemoryEndpoint, item: int, edge: int = 0, *, empty: bool = False, time_s: float = 0.0) -> None:
    spec = client.program.edges[edge].spec
    array = None if empty else np.ones(spec.bound(client.program.sizes), spec.dtype)
    shape, size = ((), 0) if array is None else (array.shape, array.nbytes)
    flags = Flag.EMPTY if empty else NOTHING
    header = Header(edge, item, flags=flags, dtype=spec.dtype, shape=shape, payload_bytes=size, time_s=time_s)
    client.send(header, array)


@contextmanager
def at_work(runner: Runner, client: MemoryEndpoint) -> Iterator[None]:
    """The runner works in a thread of its own until the block ends."""
    faults: list[BaseException] = []

    def loop() -> None:
        try:
            while not isinstance(runner.work(), Delivery):  # a control message
                pass
        except WireError as fault:
            faults.append(fault)

    thread = threading.Thread(target=loop)
    thread.start()
    yield
    thread.join(0.05)  # a control message overtakes what has not been looked at
    control = Header(CONTROL_EDGE, flags=Flag.CONTROL, shape=(1,), payload_bytes=1)
    client.send(control, np.zeros(1, np.uint8), client.program.units[0])
    thread.join(WAIT_S)
    assert not thread.is_alive()
    if faults:
        raise faults[0]


def answer(client: MemoryEndpoint) -> tuple[str, Header]:
    """The next answer, released: its edge and header."""
    came = client.receive(WAIT_S)
    assert isinstance(came, Delivery)
    if came.array is not None:
        client.release(came)
    return client.program.edges[came.header.edge].name, came.header


def taken(endpoint: MemoryEndpoint) -> dict[str, int]:
    """Slots that hold a message, by edge."""
    return {
        endpoint.program.edges[index].name: sum(slots.taken(slot) for slot in range(100))
        for index, slots in endpoint.slots.items()
    }


def test_it_answers_every_item_and_holds_nothing_afterwards() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT, ("x", "p"), gate="stop"), Piece("r", UNIT, ("q",))])
    with bench(made) as (runner, worker, client):
        with at_work(runner, client):
            for item in range(30):
                give(client, item, empty=item % 3 == 0)
                assert answer(client)[1].empty
        assert runner.pending == 0
        assert len(runner._values) == 0
        assert set(taken(worker).values()) == {0}
    assert len(runner.spans) == 20 * 2 + 30  # p and q of what was not empty, and every answer
    assert [(fact.item, fact.value) for fact in runner.facts] == [(item, 0.0) for item in range(30) if item % 3]


def test_outputs_go_straight_into_the_transport_s_memory() -> None:
    made = chain(UNIT, floats=1000)
    with bench(made) as (runner, worker, client):
        with at_work(runner, client):
            give(client, 0)
            came = client.receive(WAIT_S)
            assert isinstance(came, Delivery)
            assert taken(worker) == {f"x>{UNIT}": 0, "s0>client": 1}
            client.release(came)
        assert (worker.sent_bytes, worker.received_bytes) == (4000, 4000)


def test_a_size_with_a_name_is_not_filled_up_to_its_bound() -> None:
    spec = TensorSpec("float32", ("tokens",))
    made = chain(UNIT)
    made = replace(
        made, edges=tuple(replace(edge, spec=spec) for edge in made.edges),
        tensors=dict.fromkeys(made.tensors, spec), sizes={"tokens": 100},
    )  # fmt: skip
    made = replace(made, segments=(replace(made.segments[0], engine="null"),))
    with bench(made) as (runner, _, _):
        assert runner._direct == {}


def test_what_a_newest_edge_holds_takes_no_place_from_the_next(tmp_path: Path) -> None:
    """More sessions than the edge has slots, each with its newest value."""
    toy.write(tmp_path)
    pattern = [Item(entry, session) for session in range(9) for entry in ("sense", "act")]
    workload = Workload(18, pattern=tuple(pattern))
    with coordinating(toy.program(window=2), tmp_path, "memory") as (coordinator, _):
        found = answered(coordinator, workload, toy.inputs(workload))
    assert len(found.outputs) == 18


def test_due_times_are_kept_to_and_carried_on() -> None:
    made = chain(UNIT, floats=250)
    pace = paced(made, {"s0": 0.03}, 100_000, 0.005)  # 10 ms for 1000 bytes
    with bench(made, pace) as (runner, _, client):
        with at_work(runner, client):
            give(client, 0, time_s=0.05)
            give(client, 1, time_s=0.06)
            due = [answer(client)[1].time_s for _ in range(2)]
        assert due == [pytest.approx(0.05 + 0.03 + 0.015), pytest.approx(0.05 + 0.06 + 0.015)]
        assert [(span.start_s, span.end_s) for span in runner.spans if span.kind == "run"] == [
            (0.05, pytest.approx(0.08)), (pytest.approx(0.08), pytest.approx(0.11)),
        ]  # fmt: skip
        assert runner.busy_s == pytest.approx(0.06)
        assert not runner.missed


def test_a_message_that_comes_after_its_turn_is_noted() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT, ("y",))])
    with bench(made, paced(made, {"p": 0.02, "q": 0.02})) as (runner, _, client):
        with at_work(runner, client):
            give(client, 1, edge=0, time_s=0.01)
            assert answer(client)[1].item == 1
            give(client, 0, edge=1, time_s=0.001)  # would have been first
            assert answer(client)[1].item == 0
        assert runner.missed == {0}


def test_an_item_of_a_route_that_does_not_lead_here() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT, ("y",))])
    steps = made.routes[0].tasks[0].steps
    routes = (
        Route("main", (f"x>{UNIT}",), ("p>client",), (Task(UNIT, steps[:3]),)),
        Route("other", (f"y>{UNIT}",), ("q>client",), (Task(UNIT, steps[3:]),)),
    )
    with bench(replace(made, routes=routes)) as (runner, _, client):
        header = Header(0, 0, route=1, dtype="float32", shape=(4,), payload_bytes=16)
        with (
            pytest.raises(WireError, match="sent item 0 on edge 'x>a/cpu', which does not end here"),
            at_work(runner, client),
        ):
            client.send(header, np.ones(4, np.float32))


def test_a_cleared_runner_gives_everything_back() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT, ("p", "y"))])
    with bench(made, paced(made, {"p": 0.001, "q": 0.001})) as (runner, worker, client):
        with at_work(runner, client):
            give(client, 0, edge=0, time_s=0.0)
            give(client, 1, edge=0, time_s=1e6)
            while not any(span.name == "p" for span in runner.spans):
                time.sleep(0.001)
        runner.clear()
        assert set(taken(worker).values()) == {0}


def test_an_idle_worker_uses_no_cpu() -> None:
    made = chain(UNIT)
    with bench(made) as (runner, _, client), at_work(runner, client):
        before_s = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before_s < 0.01

"""Plans over real networks: two hosts behind a slow wire, shaped links, and clocks that are not ours."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from shoal import catalog, fleet, graph, plan
from shoal.cost import hops_between
from shoal.errors import InputError
from shoal.plan.costs import costs_of
from shoal.program import Hop, Workload
from shoal.run import Settings, execute
from shoal.run.coordinator import Coordinator
from shoal.run.deploy import lay_out
from shoal.run.pack import pack
from shoal.wire import Network, hosts
from shoal.wire.network import unavailable
from tests.graph import models
from tests.harness import answered, manifest, zeros
from tests.programs import chain

DELAY_S, RATE_BYTES_PER_S = 0.02, 2.5e6
FLEET = """
[devices.one]
board = "raspberry-pi-4b-4gb"
{}
[devices.two]
board = "raspberry-pi-3b-plus"
{}
[default_link]
bandwidth = "20 Mbit/s"
latency = "20 ms"
"""
PORT = 7700
OVER = "tcp:plain=true"
UNITS = ("one/cpu", "two/cpu")


def decided(*addresses: str) -> plan.Plan:
    path = models.light("squeezenet")
    network = graph.load(path)
    machines = fleet.loads(FLEET.format(*(f'address = "{at}"' if at else "" for at in addresses)))
    wishes = plan.Wishes(shares=(1, 1), engines=("onnxruntime",))
    reference = plan.ModelRef(network.name, str(path), network.sha256)
    return plan.search(network, reference, machines, costs_of(network, machines, measure=False), wishes).plan


def crossing_s(found: plan.Plan) -> float:
    """What the link between the two devices takes of one item, by the bytes that really cross it."""
    from shoal.plan.lower import lower

    program = lower(graph.load(found.model.path), found)
    sizes = [edge.spec.bytes(program.sizes) for edge in program.edges if "client" not in (edge.source, edge.target)]
    return DELAY_S + sum(sizes) / RATE_BYTES_PER_S


@contextmanager
def working(network: Network, found: plan.Plan, folder: Path, over: str = OVER) -> Iterator[None]:
    """A worker on each host."""
    packed = pack(found, folder)
    with ExitStack() as stack:
        for host, unit in zip(("one", "two"), UNITS, strict=True):
            command = [sys.executable, "-m", "shoal.worker", str(packed.units[unit]), "--over", over]
            command += ["--listen", f"{network.address(host)}:{PORT}", "--tied"]
            worker = subprocess.Popen(network.command(host, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(worker)
            stack.callback(worker.kill)
            assert worker.stdout is not None
            assert b"listening" in worker.stdout.readline()
        yield


@pytest.mark.skipif(bool(unavailable()), reason=f"cannot make hosts: {unavailable()}")
def test_a_plan_runs_over_two_hosts(tmp_path: Path) -> None:
    """The client sits on the first device's host, so only what passes between the devices takes long."""
    machines = fleet.loads(FLEET.format("", ""))
    ways = {way: hops_between(machines, *way) for way in (("one", "two"), ("two", "one"))}
    with hosts(("one", "two"), ways) as network:
        found = decided(*(f"{network.address(host)}:{PORT}" for host in ("one", "two")))
        with working(network, found, tmp_path / "bundles"), network.inside("one"):
            result = execute(found, Settings(items=4, over="tcp:plain=true"))
    assert not result.failure
    assert result.run.outputs_match
    assert result.run.alone_latency_s is not None
    assert crossing_s(found) + DELAY_S <= result.run.alone_latency_s < crossing_s(found) + DELAY_S + 1.0


@pytest.mark.skipif(bool(unavailable()), reason=f"cannot make hosts: {unavailable()}")
def test_two_devices_that_lose_each_other_are_noticed(tmp_path: Path) -> None:
    """Each of them still talks to the client, which alone would see nothing but silence."""
    over, names = f"{OVER},beat_s=0.2", ("base", "one", "two")
    ways = {
        (one, other): (Hop(f"{one}>{other}", 1.25e8, 1e-3),) for one in names for other in names if one != other
    }
    with hosts(names, ways) as network:
        found = decided(*(f"{network.address(host)}:{PORT}" for host in ("one", "two")))
        with working(network, found, tmp_path / "bundles", over), network.inside("base"):
            parting = threading.Timer(3.0, network.part, ("one", "two"))
            parting.start()
            result = execute(found, Settings(items=100_000, over=over))
            parting.join()
    assert re.search(r"(one|two)/cpu is gone \((two|one)/cpu: not heard for", result.failure)


def test_a_plan_runs_over_shaped_links(tmp_path: Path) -> None:
    found = decided("", "")
    shaped, straight = (execute(found, Settings(items=4, over=over)).run for over in ("shaped:inner=shm", "shm"))
    assert shaped.outputs_match
    assert shaped.alone_latency_s is not None
    assert straight.alone_latency_s is not None
    assert shaped.alone_latency_s >= crossing_s(found)
    assert straight.alone_latency_s < shaped.alone_latency_s
    assert any("shaped" in note for note in shaped.notes)
    with pytest.raises(InputError, match="already"):
        execute(found, Settings(items=1, over="shaped", emulate=True))


WORKER = """
import sys, time
from pathlib import Path
from shoal import catalog
from shoal.program import bundle
from shoal.worker import Clock, load, serve
found = bundle.read(Path(sys.argv[1]))
sessions = load(found)
transport = catalog.make("wire/transports", "tcp")
endpoint = transport.worker(found.manifest.unit, found.program, "", lambda at: print(at, flush=True))
serve(found, sessions, endpoint, Clock(lambda: time.monotonic() + 3.2, "another machine"))
"""


def test_spans_of_a_worker_whose_clock_is_not_ours_fall_into_place(tmp_path: Path) -> None:
    made = chain("a/cpu", "b/cpu")
    addresses = {}
    with ExitStack() as stack:
        for unit in made.units:
            folder = tmp_path / unit.replace("/", "-")
            lay_out(made, manifest(made, unit, tmp_path), tmp_path, folder)
            command = [sys.executable, "-c", WORKER, str(folder)]
            worker = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(worker.kill)
            assert worker.stdout is not None
            addresses[unit] = worker.stdout.readline().strip()
        endpoint = catalog.make("wire/transports", "tcp").client(made, addresses)
        stack.callback(endpoint.close)
        coordinator = Coordinator(made, endpoint)
        coordinator.wait_ready()
        observed = answered(coordinator, Workload(6, window=1), zeros(made)).outcome.observed
        coordinator.stop()
    assert set(coordinator.offsets) == set(made.units)
    for offset in coordinator.offsets.values():
        assert 0 < offset.error_s < 0.1
        assert offset.ahead_s == pytest.approx(3.2, abs=offset.error_s)
    slack_s = max(offset.error_s for offset in coordinator.offsets.values())
    answers = {answer.item: answer for answer in observed.answers}
    assert {span.unit for span in observed.spans} == set(made.units)
    for span in observed.spans:
        answer = answers[span.item]
        assert answer.arrived_s - slack_s <= span.start_s <= answer.answered_s + slack_s

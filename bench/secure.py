"""Encrypted against plain connections: raw messages to another process, and a two-stage pipeline over a link.

    python -m bench.secure [--kib 1024] [--messages 400] [--rounds 5] [--model resnet50] [--items 60] [--hosts]

Raw: messages of `kib` go to another process, four under way at a time, each answered by one byte; in each round all
ways take turns. MB/s, and CPU time of both processes for each byte. pyzmq and zenoh stand beside where installed
(zenoh with mutual TLS and the same certificates; its Python side copies each payload once on either end).

Pipeline: the model's two halves in two pinned worker processes, with links of 1 Gbit/s that are imitated by
`shaped` (with --hosts: between network namespaces, by the kernel's token bucket), plain and TLS in alternating
rounds. The ratio is that of throughputs, taken in each round: above 0.95 is the aim.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from bench import _common as common
from bench._secure_ways import BURST, Open, Sender, Serve, fleet_in, ways
from bench.pipeline import contest_of
from shoal import catalog
from shoal.identity import authority
from shoal.plan import Plan, lower
from shoal.plan.written import with_files
from shoal.program import CLIENT, Header, Hop
from shoal.run.crew import Crew
from shoal.run.deploy import lay_out, manifest_of
from shoal.wire import Delivery, Endpoint, Network, hosts, write_links
from shoal.worker import Clock

GIGABIT = 1.25e8  # bytes/s
LATENCY_S = 1e-4
WARM = 6


def cpu_s(processes: list[psutil.Process]) -> float:
    """CPU seconds the processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def pump(sender: Sender, array: np.ndarray[Any, Any], count: int) -> float:
    """Seconds for `count` messages, BURST under way at a time."""
    began_s = time.perf_counter()
    for item in range(count + BURST):
        if item >= BURST:
            sender.taken()
        if item < count:
            sender.put(array)
    return time.perf_counter() - began_s


def raw(kib: int, count: int, rounds: int) -> None:
    """Print MB/s and ns of CPU a byte for every way."""
    size = kib * 1024
    array = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch, ExitStack() as stack:
        fleet_in(Path(scratch))
        senders = {
            name: stack.enter_context(_way(context, Path(scratch), size, *way)) for name, way in ways().items()
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in senders}
        for sender, _ in senders.values():
            pump(sender, array, WARM)
        for _ in range(rounds):
            for name, (sender, processes) in senders.items():
                used_s = cpu_s(processes)
                took_s = pump(sender, array, count)
                used_s = cpu_s(processes) - used_s
                figures[name].append((count * size / took_s / 1e6, used_s / (count * size) * 1e9))
    for name, rows in figures.items():
        rate, cost = common.median([row[0] for row in rows]), common.median([row[1] for row in rows])
        print(f"{name:24} {kib} KiB  {rate:8.0f} MB/s  {cost:6.2f} ns CPU a byte", flush=True)


@contextmanager
def _way(
    context: Any, folder: Path, size: int, serve: Serve, opened: Open
) -> Iterator[tuple[Sender, list[psutil.Process]]]:
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, size, theirs), daemon=True)
    process.start()
    try:
        sender = opened(folder, size, ours.recv())
        yield sender, [psutil.Process(), psutil.Process(process.pid)]
        sender.close()
    finally:
        process.kill()
        process.join()


class Pipeline:
    """Two halves of a model, ready to be run over any transport."""

    def __init__(self, name: str, folder: Path) -> None:
        loaded, _ = common.model(name)
        self.plan: Plan = contest_of(name).two
        self.program, self.source = with_files(loaded, lower(loaded, self.plan))[:2]
        self.inputs = common.inputs_of(loaded)
        self._folder, self._identities = folder, self._fleet(folder)

    def period_s(self, items: int, *, tls: bool, network: Network | None) -> float:
        """Seconds an item, once the pipe is full."""
        with ExitStack() as stack:
            over = "tcp:plain=true" if network else f"shaped:inner=tcp,links={self._links()}"
            addresses = {
                unit: stack.enter_context(self._worker(unit, self._over(over, unit, tls), network))
                for unit in self.program.units
            }
            transport = catalog.make("wire/transports", self._over(over, CLIENT, tls))
            if network:
                stack.enter_context(network.inside("desk"))
            end = transport.client(self.program, addresses)
            stack.callback(end.close)
            crew = Crew(self.program, end)
            crew.wait_ready()
            crew.begin(Clock().origin, 1.0)
            self._drive(end, WARM)
            return self._drive(end, items) / items

    def _over(self, over: str, party: str, tls: bool) -> str:
        if not tls:
            return over
        own = f"tcp:identity={self._identities[party]}"
        return over.replace("inner=tcp", f"inner={own}") if over.startswith("shaped") else own

    def _links(self) -> Path:
        """A link of 1 Gbit/s for each way between two devices."""
        there = {
            edge.name: (Hop(f"{edge.source}>{edge.target}", GIGABIT, LATENCY_S),) for edge in self.program.edges
        }
        return write_links(there, Path(tempfile.mkdtemp(dir=self._folder)))

    def _fleet(self, folder: Path) -> Mapping[str, Path]:
        made = authority.create(folder / "authority", "bench")
        devices = {unit: unit.partition("/")[0].replace("_", "-") for unit in self.program.units}
        found = {unit: made.identity(folder / name, name, "device").folder for unit, name in devices.items()}
        return found | {CLIENT: made.identity(folder / "client", "desk", "coordinator").folder}

    @contextmanager
    def _worker(self, unit: str, over: str, network: Network | None) -> Iterator[str]:
        device = self.plan.fleet.device(unit)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        manifest = manifest_of(self.program, unit, self.source, threads=1, cores=device.cores or ())
        lay_out(self.program, manifest, self.source, folder)
        command = [sys.executable, "-m", "shoal.worker", str(folder), "--over", over, "--tied"]
        if network:
            host = unit.partition("/")[0]
            command = network.command(host, [*command, "--listen", f"{network.address(host)}:0"])
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield _listening(process.stdout)
            finally:
                process.kill()

    def _drive(self, end: Endpoint, items: int) -> float:
        """Seconds from the first answer to the last, and as much for one more as for each of those."""
        outputs, window = sum(edge.target == CLIENT for edge in self.program.edges), self.program.window
        sent, came, moments = 0, 0, list[float]()
        while len(moments) < items:
            while sent < items and sent - len(moments) < window:
                self._send(end, sent)
                sent += 1
            found = end.receive(60)
            assert isinstance(found, Delivery), found
            if not found.header.control:
                came += 1
            end.release(found)
            if came == outputs * (len(moments) + 1):
                moments.append(time.perf_counter())
        return (moments[-1] - moments[0]) * items / max(1, items - 1)

    def _send(self, end: Endpoint, item: int) -> None:
        for index, edge in enumerate(self.program.edges):
            if edge.source == CLIENT:
                array = self.inputs[edge.tensor]
                dtype, size = str(array.dtype), array.nbytes
                end.send(Header(index, item, dtype=dtype, shape=array.shape, payload_bytes=size), array)


def _listening(stdout: IO[str] | None) -> str:
    import json

    assert stdout
    line = stdout.readline()
    if not line:
        raise SystemExit("a worker did not start")
    address: str = json.loads(line)["listening"]
    return address


@contextmanager
def _network(pipeline: Pipeline, wanted: bool) -> Iterator[Network | None]:
    if not wanted:
        yield None
        return
    names = ("desk", *(unit.partition("/")[0] for unit in pipeline.program.units))
    pairs = {(a, b): (Hop(f"{a}>{b}", GIGABIT, LATENCY_S),) for a in names for b in names if a != b}
    with hosts(names, pairs, by_kernel=True) as network:
        yield network


def piped(name: str, items: int, rounds: int, *, by_hosts: bool) -> None:
    """Print the ratio of encrypted to plain throughput."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        pipeline = Pipeline(name, Path(scratch))
        found = []
        with _network(pipeline, by_hosts) as network:
            for _ in range(rounds):
                plain_s, tls_s = (pipeline.period_s(items, tls=tls, network=network) for tls in (False, True))
                found.append((plain_s, tls_s))
    cut = sum(
        edge.spec.bytes(pipeline.program.sizes)
        for edge in pipeline.program.edges
        if CLIENT not in (edge.source, edge.target)
    )
    print(
        f"{name}, cut {cut / 1e6:.2f} MB, 1 Gbit/s {'between hosts' if by_hosts else 'shaped'}: "
        f"plain {common.median([a for a, _ in found]) * 1e3:.2f} ms, TLS {common.median([b for _, b in found]) * 1e3:.2f} ms"
        f" an item, throughput TLS / plain {common.spread([a / b for a, b in found])}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="encrypted against plain connections")
    parser.add_argument("--kib", type=int, default=1024)
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="resnet50", help="a light model; empty: no pipeline")
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--hosts", action="store_true", help="network namespaces in place of shaped")
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f} (figures of a busy machine are noise)")
    if options.messages:
        raw(options.kib, options.messages, options.rounds)
    if options.model:
        piped(options.model, options.items, options.rounds, by_hosts=options.hosts)


if __name__ == "__main__":
    main()

"""Workers for a Program that comes without a Plan, such as a chain of kernels over pools."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shoal import catalog
from shoal.program import Program
from shoal.program.bundle import Bundle
from shoal.run.coordinator import Coordinator
from shoal.run.crew import Crew
from shoal.run.deploy import lay_out, manifest_of
from shoal.run.local import Processes, Threads, Workers
from shoal.run.roster import Standby
from shoal.wire import Endpoint


@contextmanager
def running(
    program: Program,
    folder: Path,
    over: str = "shm",
    *,
    cores: Mapping[str, tuple[int, ...]] | None = None,
    patience_s: float = 60.0,
    others: Mapping[int, Standby] | None = None,
) -> Iterator[tuple[Coordinator, Workers]]:
    """A process on this machine for each unit (threads over `memory`), loaded and ready; gone afterwards.

    Args:
        program: what they run, with its segments' files.
        folder: where those files are.
        over: a transport with its options.
        cores: that a unit's worker is pinned to; as many threads. Others take what they get, one thread each.
        patience_s: how long nothing may happen.
        others: the epochs that a driver may switch to, as `standby` gives them.

    Raises:
        WorkError: a worker could not start.
    """
    with _started(program, folder, over, cores or {}) as (endpoint, workers):
        coordinator = Coordinator(program, endpoint, None, patience_s, workers.watch, others)
        try:
            coordinator.wait_ready()
            yield coordinator, workers
            coordinator.stop()
        finally:
            coordinator.close()


def standby(
    program: Program,
    folder: Path,
    over: str = "shm",
    *,
    cores: Mapping[str, tuple[int, ...]] | None = None,
    patience_s: float = 60.0,
    prepare_s: float | None = None,
) -> Standby:
    """The same workers as another epoch, whose number `program` bears; they start when a driver prepares it.

    `prepare_s`: start them before the run instead, and state how long preparing takes.
    """

    @contextmanager
    def crewed() -> Iterator[Crew]:
        with _started(program, folder, over, cores or {}) as (endpoint, workers):
            crew = Crew(program, endpoint, None, patience_s, workers.watch)
            crew.wait_ready()
            yield crew

    return Standby(crewed, prepare_s)


@contextmanager
def _started(
    program: Program, folder: Path, over: str, pinned: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[Endpoint, Workers]]:
    manifests = {
        unit: manifest_of(
            program, unit, folder, threads=max(1, len(pinned.get(unit, ()))), cores=pinned.get(unit, ())
        )
        for unit in program.units
    }
    transport = catalog.make("wire/transports", over)
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        workers: Workers
        if over.partition(":")[0] == "memory":
            bundles = {unit: Bundle(program, manifest, folder) for unit, manifest in manifests.items()}
            workers = Threads(bundles, transport)
        else:
            places = {unit: Path(scratch) / unit.replace(os.sep, "-") for unit in manifests}
            for unit, manifest in manifests.items():
                lay_out(program, manifest, folder, places[unit])
            workers = Processes(places, over)
        try:
            endpoint = transport.client(program, workers.addresses())
            try:
                yield endpoint, workers
            finally:
                endpoint.close()
        finally:
            workers.close()

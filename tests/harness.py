"""Real workers around a Program: threads over memory, or processes over a transport of the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.program import Driver, Pace, Program, Workload
from shoal.program.bundle import Bundle, Manifest, mark
from shoal.run.coordinator import Coordinator, Outcome
from shoal.run.crew import Crew
from shoal.run.deploy import lay_out
from shoal.run.local import Processes, Threads
from shoal.run.roster import Standby

Arrays = Mapping[str, NDArray[Any]]


@dataclass
class Answered:
    """The outcome of a run and the outputs that came to its sink."""

    outcome: Outcome
    outputs: dict[int, Arrays] = field(default_factory=dict)


def stream() -> Driver:
    driver: Driver = catalog.make("program/drivers", "stream")
    return driver


def manifest(program: Program, unit: str, source: Path, pace: Pace | None = None) -> Manifest:
    names = {name for segment in program.segments if segment.unit == unit for name in segment.files}
    marks = {name: mark(source / name) for name in sorted(names)}
    return Manifest(unit, program.hash.hex(), 1, marks, pace=pace)


@contextmanager
def workers(program: Program, source: Path, over: str, pace: Pace | None = None) -> Iterator[Processes | Threads]:
    """Workers of every unit; for processes each gets its bundle beside `source`."""
    manifests = {unit: manifest(program, unit, source, pace) for unit in program.units}
    made: Processes | Threads
    if over == "memory":
        transport = catalog.make("wire/transports", "memory")
        made = Threads({unit: Bundle(program, manifests[unit], source) for unit in program.units}, transport)
        made.transport = transport  # type: ignore[union-attr]  # all parties share one
    else:
        folders = {unit: source / "bundles" / unit.replace("/", "-") for unit in program.units}
        for unit, folder in folders.items():
            lay_out(program, manifests[unit], source, folder)
        made = Processes(folders, over)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def coordinating(
    program: Program,
    source: Path,
    over: str,
    pace: Pace | None = None,
    patience_s: float = 20.0,
    others: Mapping[int, Standby] | None = None,
) -> Iterator[tuple[Coordinator, Processes | Threads]]:
    """A coordinator whose workers are ready."""
    with workers(program, source, over, pace) as made:
        transport = getattr(made, "transport", None) or catalog.make("wire/transports", over)
        endpoint = transport.client(program, made.addresses())
        try:
            coordinator = Coordinator(program, endpoint, pace, patience_s, made.watch, others)
            coordinator.wait_ready()
            yield coordinator, made
            coordinator.stop()
        finally:
            endpoint.close()


def standby(
    program: Program, source: Path, over: str, pace: Pace | None = None, prepare_s: float | None = None
) -> Standby:
    """Workers that a driver may prepare."""

    @contextmanager
    def opened() -> Iterator[Crew]:
        with workers(program, source, over, pace) as made:
            transport = getattr(made, "transport", None) or catalog.make("wire/transports", over)
            endpoint = transport.client(program, made.addresses())
            try:
                crew = Crew(program, endpoint, pace, watch=made.watch)
                crew.wait_ready()
                yield crew
            finally:
                endpoint.close()

    return Standby(opened, prepare_s)


def answered(coordinator: Coordinator, workload: Workload, inputs: Any) -> Answered:
    """One run with the stream driver."""
    found: dict[int, Arrays] = {}
    outcome = coordinator.run(stream(), workload, inputs, found.__setitem__)
    return Answered(outcome, found)


def zeros(program: Program) -> Any:
    """Inputs of zeros for every item, at their bounds."""
    arrays = {
        edge.tensor: np.zeros(edge.spec.bound(program.sizes), edge.spec.dtype)
        for edge in program.edges
        if edge.source == "client"
    }
    return lambda _: arrays

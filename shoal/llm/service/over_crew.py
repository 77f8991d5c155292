"""Steps computed by the workers of a plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WorkerDied
from shoal.llm.service.batch import Step
from shoal.llm.service.executor import Outputs
from shoal.llm.service.placed import Placed
from shoal.program import Header, Program
from shoal.run import Settings
from shoal.run.crew import Crew
from shoal.run.execute import crewed
from shoal.wire import Delivery
from shoal.worker import Clock, answer_of, heard


class OverCrew:
    """See `Executor`: an item for each step."""

    def __init__(self, crew: Crew, placed: Placed) -> None:
        self.label, self.room = placed.plan.label, placed.room
        self._crew = crew
        self._inputs = [crew.program.edge[name] for name in crew.program.routes[0].inputs]
        self._items = itertools.count()
        self._flying: dict[int, tuple[Step, dict[str, NDArray[Any]]]] = {}

    def send(self, step: Step) -> None:
        """See `Executor`."""
        arrays: Mapping[str, NDArray[Any]] = {
            "tokens": np.array(step.tokens, np.int64),
            "last": np.array(step.last, np.int32),
        }
        item, program = next(self._items), self._crew.program
        self._flying[item] = step, {}
        for edge in self._inputs:
            array = arrays[edge.tensor]
            self._crew.endpoint.send(_header(program, edge.name, item, step.first, array), array)

    def take(self, timeout_s: float) -> Iterator[tuple[Step, Outputs]]:
        """See `Executor`: what comes next, part of an answer, the last part, or word of a loss."""
        crew = self._crew
        came = crew.endpoint.receive(timeout_s)
        if isinstance(came, Delivery) and came.header.control:
            lost = crew.told(came.peer, answer_of(heard(crew.endpoint, came), came.peer))
        else:
            lost = crew.why(came)
        if lost is not None:
            raise WorkerDied(f"{lost[0]} is gone ({lost[1]})", where=lost[0])
        if isinstance(came, Delivery) and not came.header.control:
            yield from self._collected(came)

    def _collected(self, came: Delivery) -> Iterator[tuple[Step, Outputs]]:
        header, program = came.header, self._crew.program
        step, outputs = self._flying[header.item]
        assert came.array is not None
        outputs[program.edges[header.edge].delivers] = came.array.copy()
        self._crew.endpoint.release(came)
        if len(outputs) == len(program.routes[0].outputs):
            del self._flying[header.item]
            yield step, outputs


@contextmanager
def over_crew(placed: Placed, over: str) -> Iterator[OverCrew]:
    """The workers of a plan, ready, until the end of the block.

    Raises:
        WorkError: they could not start.
    """
    with crewed(placed.plan, placed.program, placed.folder, Settings(over=over), None) as crew:
        crew.begin(Clock().origin, 1.0, record=False)
        yield OverCrew(crew, placed)
        crew.stop()


def _header(program: Program, edge: str, item: int, row: int, array: NDArray[Any]) -> Header:
    """A message of a step: its session is the first row of the caches that it uses."""
    return Header(
        edge=program.edge_index[edge], item=item, route=0, session=row, epoch=program.epoch,
        dtype=program.edge[edge].spec.dtype, shape=array.shape, payload_bytes=array.nbytes,
    )  # fmt: skip

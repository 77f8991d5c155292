"""What computes the steps of a batch: the workers of a plan, or a module of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from shoal.llm.service.batch import Step
from shoal.llm.service.placed import Room

Outputs: TypeAlias = Mapping[str, NDArray[Any]]  # "scores" and "candidates" of each row, the best first


class Executor(Protocol):
    """Computes steps, those of one group in the order they were sent, and has the caches of all rows."""

    label: str  # where, in a few words
    room: Room

    def send(self, step: Step) -> None:
        """Begin a step."""

    def take(self, timeout_s: float) -> Iterable[tuple[Step, Outputs]]:
        """Steps that are done, after so long at most; perhaps none.

        Raises:
            WorkerDied: a worker is gone; `where` names it.
        """


Executors: TypeAlias = Callable[[frozenset[str]], AbstractContextManager[Executor]]  # devices that are lost → one

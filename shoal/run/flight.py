"""One item on its way through a Program, and what the coordinator saw of all of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from shoal.program import Start, Turn
from shoal.record import Answer, Fact
from shoal.run.crew import Crew


@dataclass(eq=False)
class Flight:
    """One item on its way."""

    start: Start
    crew: Crew
    turn: Turn[Flight]
    awaited: set[str]
    empty: bool = False
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    due_s: float = 0.0


@dataclass
class Seen:
    """What the coordinator saw itself."""

    paced: bool
    facts: list[Fact]  # about epochs
    answers: deque[Answer] = field(default_factory=deque)  # in the order they went out
    late: set[int] = field(default_factory=set)
    missed: set[int] = field(default_factory=set)  # answered before a moment at which the driver decided without

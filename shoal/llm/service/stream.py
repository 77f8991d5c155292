"""What one asks for and gets: tokens as they come, and why they ended."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from shoal.errors import WorkError
from shoal.llm.service.sampling import Sampling

Reason = Literal["stop", "length", "cancelled", "lost"]


@dataclass(frozen=True)
class Request:
    """A text to be gone on with."""

    tokens: tuple[int, ...]
    most: int = 128  # new tokens
    sampling: Sampling = field(default_factory=Sampling)
    ends: tuple[int, ...] = ()  # tokens that end it; they are not given


@dataclass(frozen=True)
class Ended:
    """Why no more tokens come."""

    reason: Reason
    why: str = ""


Listener = Callable[[int | Ended], object]


class Stream:
    """The tokens of one request, in order, each as soon as it is there."""

    def __init__(
        self, name: int, request: Request, cancel: Callable[[int], None], listener: Listener | None = None
    ) -> None:
        """`listener` hears of each token and of the end, in the generator's thread; then nothing is left to iterate."""
        self.name, self.request = name, request
        self.ended: Ended | None = None
        self.given = 0
        self._cancel = cancel
        self._came: queue.SimpleQueue[int | Ended] = queue.SimpleQueue()
        self._hear = listener or self._came.put

    def put(self, came: int | Ended) -> None:
        """One token more, or the end."""
        self.given += isinstance(came, int)
        self._hear(came)

    def __iter__(self) -> Iterator[int]:
        """Tokens until the end; `ended` says why."""
        while self.ended is None:
            came = self._came.get()
            if isinstance(came, Ended):
                self.ended = came
            else:
                yield came

    def all(self) -> list[int]:
        """Every token, once it has ended.

        Raises:
            WorkError: the devices were lost; who wants what came until then iterates.
        """
        found = list(self)
        if self.ended is not None and self.ended.reason == "lost":
            raise WorkError(f"the text ended early: {self.ended.why}")
        return found

    def cancel(self) -> None:
        """Let nothing more be computed for it."""
        self._cancel(self.name)

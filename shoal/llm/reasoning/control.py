"""How long a model may think: freely, up to a hard cut, as the prompt asks, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.reasoning.marks import Marks

I64 = NDArray[np.int64]
ANY, CHOICE = -1, -2  # instead of a token that is prescribed: whatever is drawn; one of the choices

Method = Literal["free", "cut", "asked", "none"]


@dataclass(frozen=True)
class Control:
    """A way of keeping thinking short.

    `free` lets the model end by itself. `cut` ends after `tokens` and forces an answer. `asked` leaves it to a prompt
    that asks for so many tokens: a wish, not a limit. `none` closes the thinking before it begins.

    Raises:
        InputError: a cut or a wish of no tokens, or tokens that nothing is done with.
    """

    method: Method = "free"
    tokens: int = 0  # of thinking, the closing not counted
    forced: bool = True  # whether a cut appends the closing; without, it merely stops

    def __post_init__(self) -> None:
        if self.method in ("cut", "asked") and self.tokens < 1:
            raise InputError("a budget of no tokens", where=self.method, needed="at least 1", had=str(self.tokens),
                             hint="'none' answers without thinking")  # fmt: skip
        if self.method in ("free", "none") and self.tokens:
            raise InputError("a budget that nothing keeps", where=self.method, had=f"{self.tokens} tokens")

    @property
    def name(self) -> str:
        """Short, for tables: "cut 8"."""
        return f"{self.method} {self.tokens}" if self.tokens else self.method

    @property
    def limit(self) -> int | None:
        """Tokens of thinking after which it is ended; None: never."""
        return {"cut": self.tokens, "none": 0}.get(self.method)


class Steering:
    """What each of several texts must go on with, told step by step.

    Thinking lasts until the closing tokens stand at the end, written or forced; then comes one of the choices.
    """

    def __init__(self, rows: int, marks: Marks, control: Control) -> None:
        self._marks, self._control = marks, control
        self.thought = np.zeros(rows, np.int64)  # tokens of thinking of each text
        self.done = np.zeros(rows, bool)
        self.answers = np.full(rows, -1, np.int64)  # tokens; -1: none
        self._closed = np.zeros(rows, np.int64)  # closing tokens that stand at the end
        self._forcing = np.zeros(rows, bool)
        self._limit()

    def wanted(self) -> I64:
        """(rows,): a token, ANY or CHOICE; for texts that are done, the end."""
        close = np.array(self._marks.close, np.int64)
        at = np.minimum(self._closed, len(close) - 1)
        found = np.where(self._forcing, close[at], ANY)
        found = np.where(self._closed == len(close), CHOICE, found)
        return np.where(self.done, self._marks.end, found)

    def take(self, tokens: I64) -> None:
        """What each text went on with, (rows,)."""
        marks, closing, going = self._marks, np.array(self._marks.close, np.int64), ~self.done
        answering = going & (self._closed == len(closing))
        self.answers[answering] = tokens[answering]
        self.done |= answering | (going & (tokens == marks.end))
        thinking = going & ~answering
        following = thinking & (tokens == closing[np.minimum(self._closed, len(closing) - 1)])
        broken = thinking & ~following
        self.thought[broken] += self._closed[broken] + 1  # what looked like a closing was thinking
        self._closed[broken] = (tokens[broken] == closing[0]) * (len(closing) > 1)
        self.thought[broken] -= self._closed[broken]
        self._closed[following] += 1
        self._limit()

    def _limit(self) -> None:
        limit = self._control.limit
        if limit is None:
            return
        over = ~self.done & (self.thought + self._closed >= limit) & (self._closed < len(self._marks.close))
        over &= ~self._forcing
        if self._control.forced:
            self.thought[over] += self._closed[over]
            self._closed[over] = 0
            self._forcing |= over
        else:
            self.done |= over & (self._closed == 0)

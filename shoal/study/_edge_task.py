"""Sums, differences and products of many digits, modulo ten: text whose answers can be checked.

A question is `*+3*4-5      ?`: a byte that says how many steps may be written (`*`: all), an operation and a digit for
each step, filled up with blanks, and a mark. What is written after it are the totals so far, `3 2 7 `, and `=7`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.llm.reasoning import Marks

SIGNS, FREE, CLOSE, END = "+-*", "*", "=", "\n"
STEP_BYTES = 2  # a total and a blank
HELD_OUT = 8  # one question of so many is not learned from
MARKS = Marks(close=tuple(CLOSE.encode()), choices=tuple(b"0123456789"), end=ord(END))
IGNORED = -100  # what torch's cross-entropy leaves out


@dataclass(frozen=True)
class Question:
    """A chain of operations on digits, from zero."""

    signs: str
    digits: tuple[int, ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """After each operation, modulo ten."""
        found, total = [], 0
        for sign, digit in zip(self.signs, self.digits, strict=True):
            total = (total + digit if sign == "+" else total - digit if sign == "-" else total * digit) % 10
            found.append(total)
        return tuple(found)

    @property
    def answer(self) -> int:
        """As the byte that is the right answer."""
        return ord(str(self.totals[-1]))

    @property
    def held_out(self) -> bool:
        """Whether no model learns from it: its own hash decides."""
        return hashlib.sha256(self.text(0).encode()).digest()[0] % HELD_OUT == 0

    def text(self, slots: int, hint: str = FREE) -> str:
        """What a model is asked; `slots` operations wide."""
        asked = "".join(f"{sign}{digit}" for sign, digit in zip(self.signs, self.digits, strict=True))
        return f"{hint}{asked.ljust(2 * slots)}?"

    def written(self, steps: int) -> str:
        """What it should write, with so many steps at most."""
        told = "".join(f"{total} " for total in self.totals[:steps])
        return f"{told}{CLOSE}{self.totals[-1]}{END}"


@dataclass(frozen=True, eq=False)
class Lessons:
    """Bytes, and at each place the one that follows, or IGNORED within the question: both (n, places)."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]


def questions(count: int, least: int, slots: int, seed: int, held_out: bool) -> list[Question]:
    """Drawn with least … slots operations; those held out, or those to learn from."""
    source, found = np.random.default_rng(seed), list[Question]()
    while len(found) < count:
        length = int(source.integers(least, slots + 1))
        signs = "+" + "".join(source.choice(list(SIGNS), length - 1))
        drawn = Question(signs, tuple(int(each) for each in source.integers(0, 10, length)))
        if drawn.held_out == held_out:
            found.append(drawn)
    return found


def lessons(asked: list[Question], slots: int, steps: bool, seed: int) -> Lessons:
    """Questions with their answers. With steps, every other one says at most how many, from none to all."""
    source = np.random.default_rng(seed)
    rows = []
    for each in asked:
        hinted = steps and source.random() < 0.5
        most = int(source.integers(0, slots + 1)) if hinted else slots
        text = each.text(slots, str(most) if hinted else FREE) + each.written(most if steps else 0)
        rows.append(text.ljust((2 + STEP_BYTES) * slots + 5, END))
    symbols = np.array([list(row.encode()) for row in rows], np.int64)
    y = symbols[:, 1:].copy()
    y[:, : 2 * slots + 1] = IGNORED
    ended = np.cumsum(y == ord(END), axis=1) - (y == ord(END)) > 0
    y[ended] = IGNORED
    return Lessons(np.ascontiguousarray(symbols[:, :-1]), y)


def asked(each: list[Question], slots: int, hint: str = FREE) -> NDArray[np.int64]:
    """The questions as symbols, (n, 2 · slots + 2)."""
    return np.array([list(question.text(slots, hint).encode()) for question in each], np.int64)

"""Associative recall in real text, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

I64 = NDArray[np.int64]
KEYS, VALUES = 16, 8
FACT, QUESTION, ANSWER = 128, 14, 48  # first byte of each: facts beyond text, questions among control codes, digits


@dataclass(frozen=True, eq=False)
class Asked:
    """Texts with what they hide and ask for."""

    tokens: I64  # (texts, places)
    asked: NDArray[np.bool_]  # (texts, places): a question, which the next token answers

    @property
    def prompt(self) -> int:
        """Places before the first question of all."""
        return int(self.asked.any(axis=0).argmax())


@dataclass(frozen=True)
class Recall:
    """A fact is one byte, 128 + 8 · key + value, in the place of one of the text's; a question is the key's byte.

    Facts have different keys and stand anywhere; the text ends with questions, each followed by its answer, a digit.

    Raises:
        InputError: more facts than keys, or no room for them.
    """

    places: int = 512
    facts: int = 16
    asks: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.facts <= KEYS or self.asks < 1 or self.prompt < self.facts:
            raise InputError("facts or questions that do not fit", needed=f"1 to {KEYS} facts",
                             had=f"{self.facts} facts, {self.asks} questions, {self.places} places")  # fmt: skip

    @property
    def prompt(self) -> int:
        """Places of text and facts."""
        return self.places - 2 * self.asks

    def texts(self, source: NDArray[np.uint8], count: int, seed: int) -> Asked:
        """So many, on stretches of the source drawn by the seed."""
        draw = np.random.default_rng(seed)
        starts = draw.integers(0, len(source) - self.places, count)
        tokens = np.lib.stride_tricks.sliding_window_view(source, self.places)[starts].astype(np.int64)
        np.minimum(tokens, FACT - 1, out=tokens)  # text is ASCII here
        for row in tokens:
            self._hide(row, draw)
        asked = np.zeros(tokens.shape, bool)
        asked[:, self.prompt :: 2] = True
        return Asked(tokens, asked)

    def _hide(self, row: I64, draw: np.random.Generator) -> None:
        """Put facts and questions into one text."""
        keys, values = draw.permutation(KEYS)[: self.facts], draw.integers(0, VALUES, self.facts)
        row[draw.permutation(self.prompt)[: self.facts]] = FACT + VALUES * keys + values
        asked = draw.integers(0, self.facts, self.asks)
        row[self.prompt :: 2], row[self.prompt + 1 :: 2] = QUESTION + keys[asked], ANSWER + values[asked]

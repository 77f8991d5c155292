"""Prefill and single tokens of a model timed apart: `generate` as a whole would mix them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from shoal.llm.profile import passes
from shoal.measure.clocked import own_clock
from shoal.train.library import torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WARM_UP = 2  # tokens of each row that do not count


@dataclass(frozen=True)
class Read:
    """A prompt that was read."""

    tokens: int
    seconds: float


@dataclass(frozen=True)
class Token:
    """A token that was written, in so many texts at once."""

    seen: int  # tokens before it
    texts: int
    seconds: float


@dataclass(frozen=True)
class Metered:
    """Energy and time of a prompt and the tokens after it."""

    prompt: int
    tokens: int
    prefill_j: float
    prefill_s: float
    decode_j: float
    decode_s: float


@dataclass(frozen=True)
class Clock:
    """Times a model on one thread, by its own time, in which others who are busy do not count.

    Rounds alternate over all lengths, so that what disturbs the machine meets all of them; medians count.
    """

    model: PreTrainedModel
    rounds: int = 3

    def prefills(self, lengths: Sequence[int]) -> tuple[Read, ...]:
        """Prompts of each length; the first round does not count."""
        times_s: dict[int, list[float]] = {each: [] for each in lengths}
        with torch_threads():
            for done in range(self.rounds + 1):
                for each in lengths:
                    took_s, _ = _timed(partial(self._read, each, 1))
                    if done:
                        times_s[each].append(took_s)
        return tuple(Read(each, median(times_s[each])) for each in lengths)

    def tokens(self, prompts: Sequence[int], count: int, texts: Sequence[int] = (1,)) -> tuple[Token, ...]:
        """The `count` tokens after prompts of each length, in batches of each width; medians over the rounds."""
        cases = [(prompt, wide) for prompt in prompts for wide in texts]
        times_s: dict[tuple[int, int], list[list[float]]] = {each: [] for each in cases}
        with torch_threads():
            for _ in range(self.rounds):
                for prompt, wide in cases:
                    times_s[prompt, wide].append(self._written(prompt, count + WARM_UP, wide))
        return tuple(
            Token(prompt + at, wide, median(each))
            for (prompt, wide), rows in times_s.items()
            for at, each in enumerate(zip(*rows, strict=True))
            if at >= WARM_UP
        )

    def metered(self, prompt: int, tokens: int, meter: Any) -> Metered:
        """Once, by a member of `measure/meters`; seconds are the wall clock's, to which it belongs."""
        with torch_threads():
            prefill_j, prefill_s, found = _metered(partial(self._read, prompt, 1), meter)
            decode_j, decode_s, _ = _metered(partial(self._after, found, tokens), meter)
        return Metered(prompt, tokens, prefill_j, prefill_s, decode_j, decode_s)

    def _read(self, tokens: int, texts: int) -> passes.Read:
        return passes.prefill(self.model, passes.prompt(self.model, texts, tokens))

    def _written(self, prompt: int, count: int, texts: int) -> list[float]:
        return self._after(self._read(prompt, texts), count)

    def _after(self, read: passes.Read, count: int) -> list[float]:
        """Seconds of each token after what was read."""
        times_s = []
        for _ in range(count):
            took_s, read = _timed(partial(passes.step, self.model, read.logits.argmax(-1, keepdim=True), read))
            times_s.append(took_s)
        return times_s


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    clock = own_clock(1)
    begun_s = clock()
    found = work()
    return clock() - begun_s, found


def _metered(work: Callable[[], Any], meter: Any) -> tuple[float, float, Any]:
    """Joules, seconds, and what came of it."""
    reading, begun_s = meter.start(), time.monotonic()
    found = work()
    return reading.stop() or 0.0, time.monotonic() - begun_s, found

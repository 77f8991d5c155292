"""A model of Mixtral's shape on recorded routes: sequences on two devices, and with a cache of experts, in simulated time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.cost.hosted_experts import Pace
from shoal.plan.hosted_experts import Course, Way, popular
from shoal.sim.hosted_experts import ends_s
from shoal.sim.storage import replayed
from shoal.store import NOBODY, PAGE, Key, RoutingTrace, TierFigures, Told, Use
from shoal.store.policies.lru import Lru

ATTENTION_BYTES = 2 * 4096 * (2 * 4096 + 2 * 1024)  # of a layer of Mixtral-8x7B, two bytes a weight
EXPERT_BYTES = 2 * 3 * 4096 * 14336
LAUNCHES_S = 0.2e-3  # of a layer's kernels
MEMORY_BYTES_PER_S = {"A100": 1.555e12, "A6000": 768e9}


def pace_of(device: str, slow_s: float, load_s: float) -> Pace:
    """The rest of a layer by what its weights take to read."""
    rate = MEMORY_BYTES_PER_S[device]
    return Pace(slow_s, load_s, LAUNCHES_S + ATTENTION_BYTES / rate, EXPERT_BYTES / rate)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Texts one after another, each with a prompt of the same length.

    Args:
        learned: routes by which experts are placed.
        texts: routes of each.
        prompt: tokens.
    """

    learned: RoutingTrace
    texts: Sequence[RoutingTrace]
    prompt: int

    @property
    def tokens(self) -> int:
        """After the prompts of all but the first text, which fills caches and is not counted."""
        return sum(each.tokens - self.prompt for each in self.texts[1:])

    def shared(self, ratio: float, pace: Pace, way: Way) -> float:
        """Tokens a second with experts on two devices."""
        slots = int(ratio * self.learned.layers * self.learned.experts)
        course = Course(popular(self.learned.loads(), slots), pace, way)
        seconds = [ends_s(course.works(each, self.prompt), pace)[-1] for each in self.texts]
        return self.tokens / sum(seconds[1:])

    def cached(self, ratio: float, pace: Pace, *, ahead: bool) -> float:
        """Tokens a second with a cache of the least recently used left out; the next layer's foreseen or not."""
        keys = [Key(layer, each) for layer in range(self.learned.layers) for each in range(self.learned.experts)]
        uses, ends = list[Use](), list[int]()
        for text in self.texts:
            uses += _uses(text, self.prompt, pace, uses[-1].ended_s if uses else 0.0, ahead=ahead)
            ends.append(len(uses) - 1)
        tier = TierFigures("link", PAGE / pace.load_s)
        told = Told(tier, int(ratio * len(keys)) * PAGE, tuple((key, PAGE) for key in keys), tuple(uses))
        done = replayed(told, Lru()).uses
        return self.tokens / (done[ends[-1]].ended_s - done[ends[0]].ended_s)


def _uses(text: RoutingTrace, prompt: int, pace: Pace, now_s: float, *, ahead: bool) -> Iterator[Use]:
    """Layer after layer, as if nobody ever waited."""
    passes = [slice(0, prompt), *(slice(at, at + 1) for at in range(prompt, text.tokens))]
    for which in passes:
        chosen, foreseen = text.chosen[which], text.foreseen[which]
        for layer in range(text.layers):
            met = np.unique(chosen[:, layer]).tolist()
            then: tuple[Key, ...] | None = None
            if ahead and layer + 1 < text.layers:
                known = foreseen[:, layer + 1]
                guess = chosen[:, layer + 1] if NOBODY in known else known
                then = tuple(Key(layer + 1, each) for each in np.unique(guess).tolist())
            asked_s = now_s + pace.attention_s
            now_s = asked_s + len(met) * pace.fast_s
            yield Use(tuple(Key(layer, each) for each in met), asked_s, asked_s, now_s, 0, 0, then)


def texts_of(trace: RoutingTrace) -> list[RoutingTrace]:
    """One by one."""
    return [trace.of(np.array([each], np.int32)) for each in np.unique(trace.documents)]

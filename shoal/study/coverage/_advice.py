"""Which ways to keep a model meet limits of memory and time: each is built and timed, none is guessed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.measure.child import asked
from shoal.study.coverage._built import PROMPT, Built, Way

if TYPE_CHECKING:
    from shoal.llm.checkpoint.kept import Bits
    from shoal.train.language import Stretches

WEIGHTS: tuple[Bits, ...] = ("float32", "int8", "int4")  # leaf C1
PATIENCE_S = 300


@dataclass(frozen=True)
class Limits:
    """Of a device."""

    memory_bytes: float  # resident, Python and libraries included
    token_s: float


@dataclass(frozen=True)
class Tried:
    """A way, what it takes, and what it loses."""

    way: Way
    built: Built
    loss_nats: float | None  # a token of the text held out; none: there was no text

    def beyond(self, limits: Limits) -> float:
        """How far the worse of memory and time is beyond its limit, as a factor; at most 1 meets both."""
        return max(self.built.peak_bytes / limits.memory_bytes, self.built.token_s / limits.token_s)


@dataclass(frozen=True)
class Advice:
    """What was tried; the best that meets the limits, or the nearest where nothing does."""

    tried: tuple[Tried, ...]
    limits: Limits

    @property
    def best(self) -> Tried | None:
        """The least loss, then the most context, then the least time, among those within the limits."""
        fit = [each for each in self.tried if each.beyond(self.limits) <= 1]
        return min(fit, key=_order, default=None)

    @property
    def nearest(self) -> Tried:
        """The one that is least beyond."""
        return min(self.tried, key=lambda each: each.beyond(self.limits))


def advise(
    model: str, limits: Limits, contexts: tuple[int, ...] = (1024, 256), text: Stretches | None = None
) -> Advice:
    """Build and time each pair of weights and context (the leaves that apply to any decoder here).

    Args:
        model: a folder or a GGUF file.
        limits: of the device; this machine stands for it.
        contexts: places of a text.
        text: tokens to tell what is lost by; none: fewer bits count as more loss.

    Raises:
        InputError: limits that are not above zero, or a context that is too short to time.
        ModelError: see `shoal.llm.checkpoint.prepared`.
    """
    if min(limits.memory_bytes, limits.token_s) <= 0 or min(contexts, default=0) < PROMPT + 4:
        raise InputError("limits above zero, and contexts to time in, are needed", needed=f"{PROMPT + 4} places")
    ways = [Way(model, weights, context) for weights, context in product(WEIGHTS, contexts)]
    losses = {weights: _loss(Way(model, weights, max(contexts)), text) for weights in WEIGHTS}
    return Advice(tuple(Tried(way, _built(way), losses[way.weights]) for way in ways), limits)


def _order(each: Tried) -> tuple[float, float, float]:
    lost = WEIGHTS.index(each.way.weights) if each.loss_nats is None else each.loss_nats
    return lost, -each.way.context, each.built.token_s


def _built(way: Way) -> Built:
    from shoal.llm.checkpoint import prepared

    prepared(way.model, way.wanted)  # here, so that converting is not counted there
    return asked("shoal.study.coverage._built", way, Built, f"{way.weights}, {way.context} places", PATIENCE_S)


def _loss(way: Way, text: Stretches | None) -> float | None:
    if text is None:
        return None
    from shoal.llm.checkpoint import as_module, prepared
    from shoal.study.coverage.checks import _lab as lab

    return lab.loss(as_module(prepared(way.model, way.wanted)), text)

"""Several requests decoded at once from a throttled store, by engines of one program."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress.nested_fit import SERVED
from shoal.llm.experts._widths import Expert, trial
from shoal.llm.library import transformers_module
from shoal.llm.offload.bit_router import CLASSES, BitRouter, ByWeight, Even, Fixed, by_weight
from shoal.llm.offload.nested import Loading
from shoal.sim.storage import replayed
from shoal.store import POLICIES
from shoal.study._d2moe_lab import Lab

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.store import Told

I64 = NDArray[np.int64]
ROUTED, STATIC = "routed", "static"  # bits, where they are no number


@dataclass(frozen=True)
class Engine:
    """A way of bringing experts."""

    name: str
    bits: str  # "8", "4", or by the second router, or of each expert
    order: str = "number"
    policy: str = "fifo"
    ahead: bool = False
    nest: bool = False  # else a copy of each width


ENGINES = (
    Engine("FIFO, INT8", "8"),
    Engine("FIFO, INT4", "4"),
    Engine("LRU, INT8", "8", policy="lru"),
    Engine("LRU, INT4", "4", policy="lru"),
    Engine("FIFO, routed bits", ROUTED, nest=True),
    Engine("LRU, routed bits", ROUTED, policy="lru", nest=True),
    Engine("static bits, distance, ahead", STATIC, policy="distance", ahead=True),
    Engine("hottest first, copies", ROUTED, "hottest", "coldest_plane", ahead=True),
    Engine("by number, planes", ROUTED, "number", "coldest_plane", ahead=True, nest=True),
    Engine("tokens per byte, planes", ROUTED, "per_byte", "coldest_plane", ahead=True, nest=True),
    Engine("hottest first, planes", ROUTED, "hottest", "coldest_plane", ahead=True, nest=True),
)
HEBF, PER_BYTE, NUMBER, COPIES = (
    "hottest first, planes",
    "tokens per byte, planes",
    "by number, planes",
    "hottest first, copies",
)


@dataclass(frozen=True, eq=False)
class Ran:
    """One run."""

    tokens_per_s: float
    loss: float  # nats a symbol
    by_request: tuple[float, ...]  # losses
    mean_bits: float  # that experts were multiplied in
    told: Told


@dataclass(frozen=True, eq=False)
class Runner:
    """One model, so many requests of so many tokens, a budget and a rate."""

    made: Lab
    symbols: I64  # (requests, tokens + 1)
    budget_bytes: int
    read_bytes_per_s: float

    def ran(
        self, engine: Engine, classes: Sequence[str] = (), *, apart: bool = False, budget_bytes: int = 0
    ) -> Ran:
        """Decode all requests side by side; the text is given, so that every engine meets the same."""
        how = Loading(
            budget_bytes or self.budget_bytes,
            engine.order,
            engine.policy,
            engine.ahead,
            apart,
            self.read_bytes_per_s,
        )
        with self.made.served(self._router(engine.bits), how, nest=engine.nest) as out, out.classes(classes):
            seconds, logits = _decoded(self.made, self.symbols)
            losses = _losses(logits, self.symbols)
            rate = self.symbols[:, 1:].size / seconds
            return Ran(rate, sum(losses) / len(losses), losses, out.mean_brought_bits, out.store.told())

    @cached_property
    def by_weight(self) -> ByWeight:
        """The second router."""
        return by_weight(self.made.learned, CLASSES)

    @cached_property
    def static(self) -> Fixed:
        """Bits of each expert by what the loss loses with it alone in few, the mean that of the routed bits."""
        return fixed(self.made, self.ran(_hebf()).mean_bits)

    def _router(self, bits: str) -> BitRouter:
        match bits:
            case "routed":
                return self.by_weight
            case "static":
                return self.static
            case _:
                return Even(int(bits))


def fixed(made: Lab, mean_bits: float, rows: int = 4) -> Fixed:
    """Experts go down a width, the least sensitive first, until those that are met have such mean bits. [EdgeMoE]"""
    with trial(made.model, made.fitted_on[:rows]) as tried:
        sensitivities = tried.sensitivities()
    order = sorted(sensitivities, key=lambda each: sensitivities[each])
    shares = made.learned.loads() > 0
    table = np.full(shares.shape, SERVED[-1], np.int64)
    for width in reversed(SERVED[:-1]):
        for each in order:
            if table[shares].mean() <= mean_bits:
                return Fixed(table)
            table[_at(each)] = width
    return Fixed(table)


def bubbles_s(told: Told) -> float:
    """How long nothing was multiplied although tokens waited: every wait for a record."""
    return told.stall_s


def _at(each: Expert) -> tuple[int, int]:
    return each.place, each.number


def _decoded(made: Lab, symbols: I64) -> tuple[float, Tensor]:
    """Seconds, and the logits of all places."""
    torch = transformers_module("torch")
    cache, logits, given = None, [], torch.from_numpy(symbols)
    begun_s = time.perf_counter()
    with torch.no_grad():
        for at in range(symbols.shape[1] - 1):
            answer = made.model(given[:, at : at + 1], past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            logits.append(answer.logits)
    return time.perf_counter() - begun_s, torch.cat(logits, 1)


def _losses(logits: Tensor, symbols: I64) -> tuple[float, ...]:
    """Of each request."""
    torch = transformers_module("torch")
    wanted = torch.from_numpy(symbols[:, 1:])
    every = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    return tuple(every.mean(1).tolist())


@dataclass(frozen=True)
class ByClass:
    """Requests of several classes together."""

    losses: dict[str, float]  # by class, of all text
    own: dict[str, float]  # … of more text, each token in the bits that it asks for
    mixed_per_s: float  # tokens, median of runs
    high_per_s: float  # … with every request of the first class


def by_class(runner: Runner, names: tuple[str, ...], rows: int) -> ByClass:
    """Served together as often as there are classes, so that each request is of each class once."""
    turns = _turns(names, len(runner.symbols))
    together = [runner.ran(_hebf(), turn) for turn in turns]
    high = [runner.ran(_hebf(), names[:1] * len(runner.symbols)) for _ in turns]
    return ByClass(
        _means([each.by_request for each in together], turns, names),
        _own(runner, names, runner.made.held[:rows]),
        median(each.tokens_per_s for each in together),
        median(each.tokens_per_s for each in high),
    )


def _turns(names: Sequence[str], requests: int) -> list[list[str]]:
    return [[names[(at + turn) % len(names)] for at in range(requests)] for turn in range(len(names))]


def _own(runner: Runner, names: tuple[str, ...], symbols: I64) -> dict[str, float]:
    """Losses of text read whole, each token in bits of its own: whoever else is there, answers are the same."""
    torch, turns, losses = transformers_module("torch"), _turns(names, len(symbols)), []
    with runner.made.served(runner.by_weight, Loading(1 << 30, apart=True)) as out, torch.no_grad():
        for turn in turns:
            with out.classes(turn):
                losses.append(_losses(runner.made.model(torch.from_numpy(symbols[:, :-1])).logits, symbols))
    return _means(losses, turns, names)


@dataclass(frozen=True)
class Resident:
    """A setting under which nothing ever leaves."""

    name: str
    bytes: int  # most in the store
    loss: float


def residents(runner: Runner) -> list[Resident]:
    """INT8 alone, then bits that nest: the same for all, and routed by class."""
    whole, found = 1 << 30, []
    settings = [("INT8", Engine("", "8"), "normal")]
    settings += [(f"nested, {bits} bits", Engine("", str(bits), nest=True), "normal") for bits in reversed(SERVED)]
    settings += [(f"routed, {name}", Engine("", ROUTED, nest=True), name) for name in CLASSES]
    for label, engine, name in settings:
        ran = Runner(runner.made, runner.symbols, whole, math.inf).ran(engine, (name,) * len(runner.symbols))
        found.append(Resident(label, ran.told.peak_bytes, ran.loss))
    return found


@dataclass(frozen=True)
class Foretold:
    """A run at a rate, and what a record at another rate said of it."""

    name: str
    rate: float  # bytes/s
    obtained: float  # tokens/s
    said: float


def foretold(runner: Runner, rates: Sequence[float]) -> list[Foretold]:
    """Two engines at other rates."""
    found, tokens = [], runner.symbols[:, 1:].size
    for engine in (ENGINES[0], _hebf()):
        known = runner.ran(engine).told
        for rate in rates:
            told = replace(runner, read_bytes_per_s=rate).ran(engine).told
            said = replayed(known, catalog.make(POLICIES, engine.policy), told.tier)
            found.append(Foretold(engine.name, rate, tokens / told.seconds, tokens / said.seconds))
    return found


def _hebf() -> Engine:
    return next(each for each in ENGINES if each.name == HEBF)


def _means(
    losses: Sequence[Sequence[float]], turns: Sequence[Sequence[str]], names: Sequence[str]
) -> dict[str, float]:
    """Of each class, over the requests that were of it."""
    every = [pair for run, turn in zip(losses, turns, strict=True) for pair in zip(run, turn, strict=True)]
    return {name: mean(loss for loss, each in every if each == name) for name in names}

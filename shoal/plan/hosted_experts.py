"""Which experts a fast device with little memory holds, and who computes those that it does not.

Source: Zhang et al., "DAOP: Data-Aware Offloading and Predictive Pre-Calculation for Efficient MoE Inference", DATE 2025;
the rule for each expert alone is that of Kamahori et al., "Fiddler", 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.cost.hosted_experts import Pace
from shoal.errors import InputError, LimitError
from shoal.sim.hosted_experts import Work
from shoal.store import NOBODY, RoutingTrace

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Resident = NDArray[np.bool_]  # (layers, experts) or (experts,): whether the fast device holds it
HOTTER = 1.05  # times as many tokens as the expert that leaves


@dataclass(frozen=True)
class Way:
    """How experts are shared between the devices.

    Args:
        swaps: the prompt's experts come in place of those that it hardly uses.
        together: who computes a layer's missing experts is chosen for all of them at once; else for each alone.
        early: after the prompt the slow device is asked a layer before, by what the next router says of this layer's input.
        degrade: at most half of a token's foreseen experts, rounded up, are on the slow device; others make way for the
            likeliest of the fast one.
        exempt: first layers that never ask early.
    """

    swaps: bool = True
    together: bool = True
    early: bool = False
    degrade: bool = False
    exempt: int = 2

    def __post_init__(self) -> None:
        if self.degrade and not self.early:
            raise InputError("only experts that were foreseen are exchanged", where="degrade", hint="early=True")
        if self.exempt < 1:
            raise InputError(
                "the first layer has none before it that could ask", where="exempt", had=str(self.exempt)
            )


FIDDLER = Way(swaps=False, together=False)
EXACT = Way()
PRECALC = Way(early=True)
DEGRADE = Way(early=True, degrade=True)
WAYS = {"fiddler": FIDDLER, "exact": EXACT, "precalc": PRECALC, "precalc+degrade": DEGRADE}


class Swap(NamedTuple):
    """An expert that comes, and the one that leaves for it."""

    hot: int
    cold: int


def popular(loads: I64, slots: int) -> Resident:
    """The most popular experts: as many of each layer, then of all that are left.

    Args:
        loads: (layers, experts), choices in text like that to come.
        slots: experts there is memory for.

    Raises:
        LimitError: fewer than none.
    """
    if slots < 0:
        raise LimitError("the fast device has no memory for experts", had=f"{slots} experts")
    layers, experts = loads.shape
    order = np.argsort(-loads, axis=1, kind="stable")
    found = np.zeros(loads.shape, bool)
    quota = min(slots // layers, experts)
    np.put_along_axis(found, order[:, :quota], True, axis=1)
    left = np.where(found, -1, loads).ravel()
    rest = min(slots - quota * layers, left.size - int(found.sum()))
    found.ravel()[np.argsort(-left, kind="stable")[:rest]] = True
    return found


def swaps(loads: I64, resident: Resident, hotter: float = HOTTER) -> list[Swap]:
    """One layer's exchanges for a prompt: the busiest that is not here for the idlest that is, at most half of all.

    Args:
        loads: (experts,), tokens of the prompt in each.
        resident: (experts,).
        hotter: times as many tokens as the expert that leaves has, or nothing is exchanged.
    """
    here, away = np.flatnonzero(resident), np.flatnonzero(~resident)
    cold = here[np.argsort(loads[here], kind="stable")].tolist()
    hot = away[np.argsort(-loads[away], kind="stable")].tolist()
    pairs = list(zip(hot, cold, strict=False))[: len(loads) // 2]
    return [Swap(one, other) for one, other in pairs if loads[one] > hotter * loads[other]]


def together(loads: I64, resident: Resident, pace: Pace, busy_s: float = 0.0) -> frozenset[int]:
    """The missing experts that the slow device computes so that both are done first; of equals, with the least work.

    Loads cost the same for every expert, so of those on the slow device none has more tokens than one that is loaded: it
    is enough to try how many.

    Args:
        loads: (experts,), tokens in each.
        resident: (experts,).
        pace: of the devices.
        busy_s: what is being brought to the fast device anyway.
    """
    missing = np.flatnonzero((loads > 0) & ~resident)
    order = missing[np.argsort(loads[missing], kind="stable")]
    slow_s = np.concatenate([[0.0], np.cumsum(loads[order])]) * pace.slow_s
    fast_s = busy_s + np.arange(len(order), -1, -1) * pace.load_s
    best = np.lexsort((slow_s + fast_s, np.maximum(slow_s, fast_s)))[0]
    return frozenset(order[:best].tolist())


def alone(loads: I64, resident: Resident, pace: Pace) -> frozenset[int]:
    """The missing experts whose tokens take the slow device less time than bringing the expert."""
    missing = (loads > 0) & ~resident & (loads * pace.slow_s < pace.load_s)
    return frozenset(np.flatnonzero(missing).tolist())


def on_slow(loads: I64, resident: Resident, pace: Pace, way: Way, busy_s: float = 0.0) -> frozenset[int]:
    """See `together` and `alone`."""
    return together(loads, resident, pace, busy_s) if way.together else alone(loads, resident, pace)


def degraded(chosen: I64, shares: F64, resident: Resident) -> I64:
    """A token's experts with at most half of them, rounded up, away: the heaviest of these stay.

    Each of the others makes way for the likeliest that is here and not among the token's; where there is none, it stays.

    Args:
        chosen: (n, k).
        shares: (n, experts), what the router thinks of each.
        resident: (experts,).
    """
    found = chosen.copy()
    most = -(-chosen.shape[1] // 2)
    for row, own, share in zip(found, chosen, shares, strict=True):
        places = np.flatnonzero(~resident[own])
        dropped = places[np.argsort(-share[own[places]], kind="stable")][most:][::-1]  # the lightest first
        free = resident.copy()
        free[own] = False
        spare = np.flatnonzero(free)
        likely = spare[np.argsort(-share[spare], kind="stable")][: len(dropped)]
        row[dropped[: len(likely)]] = likely
    return found


def early_layer(place: int, resident: Resident, way: Way) -> bool:
    """Whether a layer's experts are foreseen: not among the first, nor where all are on the fast device.

    Args:
        place: of the layer.
        resident: (layers, experts).
        way: how experts are shared.
    """
    return way.early and way.exempt <= place < len(resident) and not resident[place].all()


class Course:
    """A sequence's works by its routes: the prompt read at once, then one token after another.

    Args:
        resident: (layers, experts), before the prompt.
        pace: of the devices, for the choice of who computes.
        way: how experts are shared.
    """

    def __init__(self, resident: Resident, pace: Pace, way: Way) -> None:
        self.resident, self._pace, self._way = resident.copy(), pace, way

    def works(self, trace: RoutingTrace, prompt: int) -> Iterator[Work]:
        """Of every layer of every pass.

        Args:
            trace: of one text.
            prompt: how many of its tokens are the prompt.

        Raises:
            InputError: the prompt is none, or more than the text.
        """
        if not 0 < prompt <= trace.tokens:
            raise InputError(
                "a prompt is a part of the text", needed=f"1 to {trace.tokens} tokens", had=str(prompt)
            )
        loads = trace.of_tokens(slice(0, prompt)).loads()
        for place in range(trace.layers):
            yield self._prompt(place, loads[place])
        chosen, foreseen = trace.chosen[prompt:].astype(np.int64), trace.foreseen[prompt:].astype(np.int64)
        for token in range(len(chosen)):
            for place in range(trace.layers):
                yield self._decoded(place, chosen[token, place], foreseen[token, place])

    def _prompt(self, place: int, loads: I64) -> Work:
        here = self.resident[place]
        moved = swaps(loads, here) if self._way.swaps else []
        for each in moved:
            here[each.hot], here[each.cold] = True, False
        slow = on_slow(loads, here, self._pace, self._way, len(moved) * self._pace.load_s)
        met = set(np.flatnonzero(loads).tolist())
        loaded = [each for each in met - slow if not here[each]]
        return Work(len(met - slow), int(sum(loads[each] for each in slow)), len(moved) + len(loaded))

    def _decoded(self, place: int, chosen: I64, foreseen: I64) -> Work:
        here = self.resident[place]
        if early_layer(place, self.resident, self._way):
            own = chosen if NOBODY in foreseen else foreseen
            slow = int((~here[own]).sum())
            if self._way.degrade:
                slow -= min(max(0, slow - -(-len(own) // 2)), int(here.sum()) - (len(own) - slow))
            return Work(len(own) - slow, slow, early=True)
        loads = np.bincount(chosen, minlength=len(here))
        away = on_slow(loads, here, self._pace, self._way)
        loaded = sum(1 for each in chosen.tolist() if not here[each] and each not in away)
        return Work(len(chosen) - len(away), len(away), loaded)


def hit_rate(trace: RoutingTrace, resident: Resident) -> float:
    """Of all choices, those of experts that the fast device holds."""
    places = np.arange(trace.layers)[None, :, None]
    return float(resident[places, trace.chosen].mean())

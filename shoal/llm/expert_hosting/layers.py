"""Layers whose experts are computed here and by a worker at once, the worker's perhaps asked for a layer before."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError
from shoal.llm.expert_hosting.residents import Residents
from shoal.llm.expert_parallel import Workers
from shoal.llm.expert_parallel.plug import rows_of
from shoal.llm.experts import Block
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import Site
from shoal.llm.offload.records import matrices
from shoal.plan.hosted_experts import EXACT, I64, Resident, Swap, Way, degraded, early_layer, on_slow, swaps
from shoal.sim.hosted_experts import Work

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.cost.hosted_experts import Pace
    from shoal.llm.expert_parallel.workers import Pending

Away = Resident  # (n, k): which choices are the worker's


@dataclass(frozen=True)
class Turn:
    """One layer at work."""

    place: int
    tokens: int
    work: Work
    begun_s: float
    ended_s: float

    @property
    def seconds(self) -> float:
        """From its routes to its answer."""
        return self.ended_s - self.begun_s


@dataclass(frozen=True, eq=False)
class _Ahead:
    """What was foreseen for a layer, and asked of the worker."""

    place: int
    weights: Tensor
    chosen: Tensor
    away: Away
    answer: Pending | None


@dataclass(eq=False)
class Hosted:
    """A model at work on two devices; made by `hosted`."""

    blocks: Sequence[Block]
    sites: Sequence[Site]
    residents: Residents
    there: Workers
    pace: Pace  # for the choice of who computes
    way: Way = EXACT
    turns: list[Turn] = field(default_factory=list, init=False)  # what every layer did so far
    _prompt: bool = field(default=True, init=False)
    _ahead: _Ahead | None = field(default=None, init=False)

    def again(self, way: Way) -> None:
        """Go on in another way, with the experts of the beginning; turns are counted anew.

        Raises:
            InputError: the model is too shallow for it.
        """
        if way.early and way.exempt >= len(self.blocks):
            raise InputError("no layer is left whose experts could be foreseen", where="exempt",
                             needed=f"{len(self.blocks) - 1} at most", had=str(way.exempt))  # fmt: skip
        self.way = way
        self.residents.restore()
        self.turns.clear()

    def begin(self, _: Any, given: Any, named: Any) -> None:
        """A pass; with nothing in the cache it reads a prompt. Called by transformers."""
        cache = named.get("past_key_values")
        self._prompt = cache is None or not cache.get_seq_length()
        self._ahead = None  # of a pass that did not come to its end

    def routing(self, place: int) -> Callable[[Any, Any, Any], Any]:
        """A layer's routes as they were foreseen, where they were; for a hook of its router."""

        def foreseen(_: Any, given: Any, answer: Any) -> Any:
            ahead = self._ahead
            return answer if ahead is None or ahead.place != place else (answer[0], ahead.weights, ahead.chosen)

        return foreseen

    def answer(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """What a layer's experts make of tokens; see `plugged`.

        Raises:
            ModelError: what was read is damaged.
            WorkerDied: the worker is gone, or says nothing.
        """
        begun_s, loads = time.perf_counter(), self.residents.loads
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            away, moved = self._shared(place, chosen.numpy())
            pending = self._asked(place, hidden, chosen, weights, away)
            self.residents.exchange(place, moved)
        else:
            away, pending = ahead.away, ahead.answer
        self._look_ahead(place, hidden)
        made = self._here(place, hidden, chosen, weights, away)
        if pending is not None:
            made += transformers_module("torch").from_numpy(pending.result()).to(made.dtype)
        fast = len(np.unique(chosen.numpy()[~away]))
        work = Work(fast, int(away.sum()), self.residents.loads - loads, early=ahead is not None)
        self.turns.append(Turn(place, len(hidden), work, begun_s, time.perf_counter()))
        return made

    def foreseen(self, place: int, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the router after a layer says of the layer's input: logits, weights and choices.

        Raises:
            InputError: it is the last layer.
        """
        if place + 1 >= len(self.blocks):
            raise InputError("the last layer has no router after it", where=f"layer {place} of those with experts")
        # past the module's hooks: nobody who listens to routers shall hear this
        found: tuple[Tensor, Tensor, Tensor] = self.blocks[place + 1].router.forward(hidden)
        return found

    def _shared(self, place: int, chosen: I64) -> tuple[Away, list[Swap]]:
        """Which choices are the worker's, and which experts the prompt brings here."""
        here = self.residents.here[place].copy()
        loads = np.bincount(chosen.ravel(), minlength=len(here))
        moved = swaps(loads, here) if self._prompt and self.way.swaps else []
        for each in moved:
            here[each.hot], here[each.cold] = True, False
        slow = on_slow(loads, here, self.pace, self.way, len(moved) * self.pace.load_s)
        return np.isin(chosen, list(slow)), moved

    def _asked(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, away: Away) -> Pending | None:
        """Have the worker begin with its part."""
        if not away.any():
            return None
        own = np.where(away, chosen.numpy(), self.blocks[place].count)
        return self.there.begin(place, rows_of(hidden), own, rows_of(weights))

    def _look_ahead(self, place: int, hidden: Tensor) -> None:
        """Foresee the next layer's routes, and have the worker begin with its part of them."""
        if self._prompt or not early_layer(place + 1, self.residents.here, self.way):
            return
        logits, weights, chosen = self.foreseen(place, hidden)
        here = self.residents.here[place + 1]
        if self.way.degrade:
            weights, chosen = _degraded(self.blocks[place + 1], logits, weights, chosen, here)
        away = ~here[chosen.numpy()]
        answer = self._asked(place + 1, hidden, chosen, weights, away)
        self._ahead = _Ahead(place + 1, weights, chosen, away, answer)

    def _here(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, away: Away) -> Tensor:
        """This process's part."""
        site, torch = self.sites[place], transformers_module("torch")
        own = chosen.masked_fill(torch.from_numpy(away), site.count)
        with self.residents.layer(place) as source, site.standing(matrices(source, site)):
            return site.own_way(hidden, own, weights)


def _degraded(
    block: Block, logits: Tensor, weights: Tensor, chosen: Tensor, here: Resident
) -> tuple[Tensor, Tensor]:
    """Weights and choices with fewer experts away; new weights are as the router's shares, in all as they were."""
    torch = transformers_module("torch")
    shares = block.shares(logits.float())
    found = torch.from_numpy(degraded(chosen.numpy(), shares.double().numpy(), here))
    own = shares.gather(1, found)
    scaled = own * (weights.sum(1, keepdim=True) / own.sum(1, keepdim=True))
    changed = (found != chosen).any(1, keepdim=True)
    return torch.where(changed, scaled.to(weights.dtype), weights), found

"""A model whose experts lie in a store: each layer's are there while it multiplies, those of the next are on their way.

Non-experts stay in memory. [after Yi et al., "EdgeMoE", 2023] What is computed is what the model's own class computes, on
the same matrices in the same order, so answers are the same to the last bit; from codes, those of the decoded matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.llm.experts._handle import Handle
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import Site, sites
from shoal.llm.offload.foresight import Foresight
from shoal.llm.offload.records import check_fits, matrices, restore
from shoal.store import (
    DEMAND,
    POLICIES,
    PREDICTORS,
    FileTier,
    Key,
    Policy,
    Predictor,
    RoutingTrace,
    TensorStore,
    Throttled,
    Tier,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.store.values import Arrays

Opener = Callable[[], Tier]
NAME = "shoal_store"  # among transformers' implementations of experts


@dataclass(frozen=True)
class Budget:
    """How experts are kept in memory, and what is fetched beforehand."""

    budget_bytes: int  # for experts, those on their way among them
    policy: str = "distance"  # of `store/policies`: what leaves
    predictor: str = ""  # of `store/predictors`: what is fetched before it is asked for; "" fetches nothing
    preloaded: int = 2  # experts of the next layer, for each token
    pinned: tuple[Key, ...] = ()  # never leave
    read_bytes_per_s: float = math.inf  # emulates a slower store
    latency_s: float = 0.0  # of every read; emulated, too
    direct: bool = True  # read past the system's cache, where the file system can do that

    def __post_init__(self) -> None:
        if self.preloaded < 1:
            raise InputError("an expert at least is preloaded", where="preloaded", had=str(self.preloaded))


class Offloaded:
    """A model whose experts were taken out; `undo` gives them back."""

    def __init__(self, handle: Handle, store: TensorStore) -> None:
        self._handle, self.store = handle, store

    def undo(self) -> None:
        """Leave the model as it was; if the store held codes, with what they stand for. A second time nothing happens.

        Raises:
            ModelError: the store is damaged by now.
            WorkError: it cannot be read any more.
        """
        self._handle.undo()


def offload(
    model: PreTrainedModel,
    source: Path | Opener,
    budget: Budget,
    learned: RoutingTrace | None = None,
    uses: Sequence[Key] | None = None,
) -> Offloaded:
    """Take the experts out of a model that is to answer, one thread at a time, without gradients.

    Args:
        model: is changed in place; its experts' memory is given back.
        source: what `write_experts` has written of it; or what opens a tier with that, now and to give the experts back.
        budget: for the experts.
        learned: routes of other text, for the predictor.
        uses: all that will be asked for, for policies that must know.

    Raises:
        ModelError: no layer has experts, or the store is damaged or of another model.
        WorkError: the store cannot be read.
        LimitError: the budget does not hold what one token needs of one layer.
        InputError: no such policy or predictor, or it lacks what it has to know.
    """
    found, opener = sites(model), _opener(source, budget)
    tier = opener()
    with ExitStack() as undone:
        undone.callback(tier.close)
        for place, site in enumerate(found):
            check_fits(place, site, tier.records, str(source) if isinstance(source, Path) else tier.figures.name)
        _check_room(found, tier, budget)
        foresight = _foresight(found, budget, learned)
        store = _store(tier, budget, uses)
        undone.callback(store.close)
        handle = Handle()
        undone.callback(handle.undo)
        handle.later(lambda: restore(found, opener()))
        for place, site in enumerate(found):
            handle.replace(site.experts, SERVED, _Served(site, place, store, budget, foresight))
            site.free()
        transformers_module("transformers.integrations.moe").ExpertsInterface.register(NAME, _answer)
        handle.implement(model, NAME)
        handle.later(store.close)
        handle.later(_pin(store, budget.pinned).close)
        undone.pop_all()
    return Offloaded(handle, store)


SERVED = "_shoal_served"  # attribute of experts that are served from a store


def _answer(experts: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """As transformers calls an implementation of experts."""
    served: _Served = getattr(experts, SERVED)
    return served.answer(hidden_states, top_k_index, top_k_weights)


class _Served:
    """One layer's experts, taken from the store."""

    def __init__(
        self, site: Site, place: int, store: TensorStore, budget: Budget, foresight: Foresight | None
    ) -> None:
        self._site, self._place, self._store, self._foresight = site, place, store, foresight
        sizes = dict(store.told().sizes)
        self._sizes = [sizes[Key(place, expert)] for expert in range(site.count)]
        self._room_bytes = budget.budget_bytes - sum(sizes[key] for key in budget.pinned)

    def answer(self, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """See `Site.own_way`.

        Raises:
            InputError: a gradient is wanted.
            ModelError: what was read is damaged.
        """
        if hidden.requires_grad and transformers_module("torch").is_grad_enabled():
            raise InputError(
                "experts from a store answer, they do not learn", hint="call the model under torch.no_grad()"
            )
        routed = [each for each in sorted(set(chosen.flatten().tolist())) if each < self._site.count]
        groups, then = self._groups(routed), list[Key]()
        if self._foresight is not None:
            self._store.preload(groups[0], DEMAND)  # they are read while it is thought about what follows
            then = self._foresight.next(self._place, hidden, chosen)
        with (
            _turn(self._store, groups, then) as turn,
            self._site.standing(matrices(turn, self._site)),
        ):
            return self._site.own_way(hidden, chosen, weights)

    def _groups(self, routed: list[int]) -> list[list[Key]]:
        """All that were routed at once; if that is too much, as many as leave room for as many to be on their way."""
        if sum(self._sizes[expert] for expert in routed) <= self._room_bytes:
            return [[Key(self._place, expert) for expert in routed]]
        groups: list[list[Key]] = [[]]
        taken = 0
        for expert in routed:
            if groups[-1] and taken + self._sizes[expert] > self._room_bytes // 2:
                groups.append([])
                taken = 0
            groups[-1].append(Key(self._place, expert))
            taken += self._sizes[expert]
        return groups


class _Turn:
    """A layer at work: its experts are held group by group, as the class comes to them."""

    def __init__(self, store: TensorStore, groups: list[list[Key]], then: list[Key], held: ExitStack) -> None:
        self._store, self._groups, self._then, self._held = store, groups, then, held
        self._arrays: dict[int, Arrays] = {}

    def of(self, expert: int) -> Arrays:
        """What is stored of an expert; valid until another group is asked for."""
        while expert not in self._arrays:
            self._arrays = {}
            self._held.close()
            keys, *self._groups = self._groups
            then = [key for group in self._groups for key in group] + self._then
            found = self._held.enter_context(self._store.hold(keys, then))
            self._arrays = {key.part: arrays for key, arrays in zip(keys, found, strict=True)}
        return self._arrays[expert]


@contextmanager
def _turn(store: TensorStore, groups: list[list[Key]], then: list[Key]) -> Iterator[_Turn]:
    with ExitStack() as held:
        yield _Turn(store, groups, then, held)


def _check_room(found: Sequence[Site], tier: Tier, budget: Budget) -> None:
    """Refuse a budget in which not even one token can be answered.

    Raises:
        InputError: what is to be pinned is not there.
        LimitError: of the largest experts of one layer, so many as a token meets do not fit beside what is pinned.
    """
    if not set(budget.pinned) <= set(tier.records):
        raise InputError("no such expert can be pinned", had=", ".join(map(str, budget.pinned)))
    pinned_bytes = sum(tier.records[key].bytes for key in set(budget.pinned))
    for place, site in enumerate(found):
        sizes = sorted((tier.records[Key(place, expert)].bytes for expert in range(site.count)), reverse=True)
        needed = sum(sizes[: site.per_token]) + pinned_bytes
        if needed > budget.budget_bytes:
            raise LimitError("the budget does not hold what one token needs of one layer",
                             where=f"layer {place} of those with experts, {site.per_token} experts a token",
                             needed=f"{needed} bytes", had=f"{budget.budget_bytes}")  # fmt: skip


def _foresight(found: Sequence[Site], budget: Budget, learned: RoutingTrace | None) -> Foresight | None:
    if not budget.predictor:
        return None
    predictor: Predictor = catalog.make(PREDICTORS, budget.predictor)
    if learned is None:
        raise InputError(
            "a predictor learns from routes of other text", where=budget.predictor, hint="shoal.llm.routes.recorded"
        )
    if (learned.layers, learned.experts) != (len(found), found[0].count):
        raise InputError("the routes are of another model", needed=f"{len(found)} layers of {found[0].count} experts",
                         had=f"{learned.layers} of {learned.experts}")  # fmt: skip
    return Foresight(predictor.learned(learned), found, budget.preloaded)


def _opener(source: Path | Opener, budget: Budget) -> Opener:
    return (lambda: FileTier(source, direct=budget.direct)) if isinstance(source, Path) else source


def _store(tier: Tier, budget: Budget, uses: Sequence[Key] | None) -> TensorStore:
    policy: Policy = catalog.make(POLICIES, budget.policy)
    throttled = math.isfinite(budget.read_bytes_per_s) or budget.latency_s
    over = Throttled(tier, budget.read_bytes_per_s, budget.latency_s) if throttled else tier
    return TensorStore(over, budget.budget_bytes, policy, uses)


def _pin(store: TensorStore, keys: Sequence[Key]) -> ExitStack:
    """Hold these until it is closed."""
    held = ExitStack()
    if keys:
        held.enter_context(store.hold(keys))
    return held

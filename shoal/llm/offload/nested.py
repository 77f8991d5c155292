"""A model whose experts lie in a store in bits that nest: each is met in the bits that its tokens need, no more are read.

After "D²MoE", arXiv 2504.15299. The model's router is not touched; a second one says how many bits a token needs of an
expert, and an expert is brought in the most that any of its tokens needs. What lacks least and serves most is brought
first, experts are multiplied as they become complete, and where memory falls short upper planes leave before experts do.
Approximate in the codes alone: answers are to the last bit those of the model's own class on the matrices that the bits
stand for, whatever the order.
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.llm.experts import Handle
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import Site, sites
from shoal.llm.offload.bit_router import NORMAL, BitRouter
from shoal.llm.offload.nested_records import Layout, Planes, check_planes, shape_of, tensor
from shoal.plan.expert_loading import Held, Need, in_turn, order_of
from shoal.store import POLICIES, FileTier, Key, TensorStore, Throttled, Tier

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64

NEST = Planes()
NAME = "shoal_nested"  # among transformers' implementations of experts
SERVED = "_shoal_nested"  # attribute of experts that are served so


@dataclass(frozen=True)
class Loading:
    """How bits are kept in memory, and in which order they come."""

    budget_bytes: int  # for planes, those on their way among them
    order: str = "hottest"  # of `shoal.plan.expert_loading`: hottest, per_byte or number
    policy: str = "coldest_plane"  # of `store/policies`: what leaves
    ahead: bool = True  # bring what the next layer's router, asked early, says
    apart: bool = (
        False  # each token in the bits that it asks for; else all tokens of a step in the most of an expert
    )
    read_bytes_per_s: float = math.inf  # emulates a slower store
    latency_s: float = 0.0  # of every read; emulated, too
    direct: bool = True  # read past the system's cache, where the file system can do that


class InBits:
    """A model whose experts were taken out; `undo` gives them back as the most bits have them."""

    def __init__(self, handle: Handle, store: TensorStore, asked: Asked) -> None:
        self._handle, self.store, self._asked = handle, store, asked

    @contextmanager
    def classes(self, names: Sequence[str]) -> Iterator[None]:
        """Meanwhile the model is called with a row for each of these requests; else all are "normal"."""
        before, self._asked.classes = self._asked.classes, tuple(names)
        try:
            yield
        finally:
            self._asked.classes = before

    @property
    def mean_bits(self) -> float:
        """Of what tokens asked for, over tokens and experts."""
        return _mean(self._asked.wanted)

    @property
    def mean_brought_bits(self) -> float:
        """Of what experts were multiplied in, over layers and steps."""
        return _mean(self._asked.brought)

    def undo(self) -> None:
        """Leave the model with the matrices of the most bits. A second time nothing happens.

        Raises:
            ModelError: the store is damaged by now.
        """
        self._handle.undo()


class Asked:
    """Whose requests the rows are, and which bits were asked for so far."""

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.wanted, self.brought = Counter[int](), Counter[int]()

    def of(self, tokens: int) -> list[str]:
        """The class of each token: rows are as long as one another.

        Raises:
            InputError: tokens are not so many rows.
        """
        if not self.classes:
            return [NORMAL] * tokens
        if tokens % len(self.classes):
            raise InputError(
                "a class for each row is needed", needed=f"rows of {tokens} tokens", had=str(len(self.classes))
            )
        return [name for name in self.classes for _ in range(tokens // len(self.classes))]


def in_bits(model: PreTrainedModel, path: Path, router: BitRouter, how: Loading, layout: Layout = NEST) -> InBits:
    """Take the experts out of a model that is to answer, one thread at a time, without gradients.

    Args:
        model: is changed in place; its experts' memory is given back.
        path: what `write_planes` has written of it, or `write_copies`.
        router: how many bits are needed.
        how: they are brought.
        layout: of the file.

    Raises:
        ModelError: no layer has experts, or the store lacks a plane, is damaged or of another model.
        LimitError: the budget does not hold the first planes of one token's experts, or one expert in the most bits.
        InputError: no such policy or order, or the router asks for bits that are not stored.
    """
    if how.apart and not isinstance(layout, Planes):
        raise InputError("only bits that nest serve several widths at once", where="apart")
    order_of(how.order)  # refused before anything is changed
    found, tier = sites(model), FileTier(path, direct=how.direct)
    with ExitStack() as undone:
        undone.callback(tier.close)
        for place, site in enumerate(found):
            check_planes(place, site, layout, tier.records, str(path))
        _check_room(found, tier, router, layout, how.budget_bytes)
        store = TensorStore(_throttled(tier, how), how.budget_bytes, catalog.make(POLICIES, how.policy))
        undone.callback(store.close)
        handle, asked = Handle(), Asked()
        undone.callback(handle.undo)
        handle.later(lambda: _restore(found, path, layout))
        for place, site in enumerate(found):
            after = found[place + 1] if how.ahead and place + 1 < len(found) else None
            handle.replace(site.experts, SERVED, _Layer(site, after, place, store, router, layout, how, asked))
            site.free()
        transformers_module("transformers.integrations.moe").ExpertsInterface.register(NAME, _answer)
        handle.implement(model, NAME)
        handle.later(store.close)
        undone.pop_all()
    return InBits(handle, store, asked)


def needs_of(place: int, chosen: I64, bits: I64, count: int, layout: Layout) -> list[tuple[Need, int]]:
    """The experts that tokens go to, and the bits of each: the most that any of its tokens asks for.

    Args:
        place: of the layer.
        chosen: (tokens, k); `count` and more is no expert.
        bits: (tokens, k).
        count: of experts.
        layout: of the store.
    """
    tokens, most = Counter[int](), dict[int, int]()
    for expert, asked in zip(chosen.ravel().tolist(), bits.ravel().tolist(), strict=True):
        if expert < count:
            tokens[expert] += 1
            most[expert] = max(asked, most.get(expert, 0))
    return [(Need(each, tokens[each], layout.keys(place, each, most[each])), most[each]) for each in sorted(tokens)]


def _answer(experts: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """As transformers calls an implementation of experts."""
    layer: _Layer = getattr(experts, SERVED)
    return layer.answer(hidden_states, top_k_index, top_k_weights)


class _Layer:
    """One layer's experts, taken from the store."""

    def __init__(
        self, site: Site, after: Site | None, place: int, store: TensorStore, router: BitRouter, layout: Layout, how: Loading,
        asked: Asked,
    ) -> None:  # fmt: skip
        self._site, self._after, self._place, self._store = site, after, place, store
        self._router, self._layout, self._asked = router, layout, asked
        self._order, self._apart = order_of(how.order), how.apart
        self._sizes = dict(store.told().sizes)

    def answer(self, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """See `Site.own_way`; what each expert gives is added up in the order of their numbers, as there.

        Raises:
            InputError: a gradient is wanted.
            ModelError: what was read is damaged.
        """
        torch = transformers_module("torch")
        if hidden.requires_grad and torch.is_grad_enabled():
            raise InputError(
                "experts from a store answer, they do not learn", hint="call the model under torch.no_grad()"
            )
        classes = self._asked.of(len(hidden))
        wanted = self._router.bits(self._place, hidden, chosen, weights, classes)
        self._asked.wanted.update(wanted[(chosen < self._site.count).numpy()].tolist())
        needs = needs_of(self._place, chosen.numpy(), wanted, self._site.count, self._layout)
        bits = {need.part: most for need, most in needs}
        self._asked.brought.update(bits.values())
        parts: dict[int, tuple[Tensor, Tensor]] = {}
        ahead = self._ahead(hidden, classes)
        for need, held in in_turn(self._store, [need for need, _ in needs], self._order, self._sizes, ahead):
            rows, slots = torch.where(chosen == need.part)
            asked = torch.from_numpy(wanted)[rows, slots] if self._apart else torch.full_like(rows, bits[need.part])
            parts[need.part] = (
                rows,
                self._through(held, need.part, asked, hidden[rows], chosen[rows], weights[rows]),
            )
        answer: Tensor = torch.zeros_like(hidden)
        for expert in sorted(parts):
            answer.index_add_(0, *parts[expert])
        return answer

    def _through(
        self, held: Held, expert: int, asked: Tensor, hidden: Tensor, chosen: Tensor, weights: Tensor
    ) -> Tensor:
        """What one expert gives the tokens that go to it; its matrices are there only meanwhile."""
        torch = transformers_module("torch")
        alone = torch.where(chosen == expert, chosen, self._site.count)
        answer: Tensor = torch.empty_like(hidden)
        for bits in sorted(set(asked.tolist())):
            mine = asked == bits
            with self._site.standing(partial(self._matrix, held, bits)):
                answer[mine] = self._site.own_way(hidden[mine], alone[mine], weights[mine])
        return answer

    def _matrix(self, held: Held, bits: int, _: int, name: str) -> Tensor:
        """As the model's class asks for it."""
        found = self._layout.matrix(held, bits, name, shape_of(self._site, name))
        return tensor(found, self._site.stack(name))

    def _ahead(self, hidden: Tensor, classes: Sequence[str]) -> list[Key]:
        """What the next layer will need if its router sees what this one was given."""
        if self._after is None:
            return []
        _, weights, chosen = self._after.router.forward(hidden)  # past the module's hooks
        bits = self._router.bits(self._place + 1, hidden, chosen, weights, classes)
        needs = [
            need for need, _ in needs_of(self._place + 1, chosen.numpy(), bits, self._after.count, self._layout)
        ]
        needs.sort(key=lambda need: (-need.tokens, need.part))
        return [key for need in needs for key in need.keys]


def _check_room(found: Sequence[Site], tier: Tier, router: BitRouter, layout: Layout, budget_bytes: int) -> None:
    """Refuse a budget in which a layer's experts would take turns at being thrown out.

    Raises:
        InputError: the router asks for bits that are not stored.
        LimitError: see `in_bits`.
    """
    for place, site in enumerate(found):
        few, most = (
            sorted(
                (
                    sum(tier.records[key].bytes for key in layout.keys(place, expert, bits))
                    for expert in range(site.count)
                ),
                reverse=True,
            )
            for bits in (min(layout.widths), max(router.widths))
        )
        needed = max(sum(few[: site.per_token]), most[0])
        if needed > budget_bytes:
            raise LimitError("the budget does not hold the first planes of one token's experts, and one expert in most bits",
                             where=f"layer {place} of those with experts, {site.per_token} experts a token",
                             needed=f"{needed} bytes", had=f"{budget_bytes}")  # fmt: skip


def _throttled(tier: Tier, how: Loading) -> Tier:
    """The file, held to a slower store's figures where some were given."""
    if math.isfinite(how.read_bytes_per_s) or how.latency_s:
        return Throttled(tier, how.read_bytes_per_s, how.latency_s)
    return tier


def _restore(found: Sequence[Site], path: Path, layout: Layout) -> None:
    """Fill the parameters from the file, in the most bits it has."""
    torch, bits = transformers_module("torch"), max(layout.widths)
    tier = FileTier(path)
    try:
        for place, site in enumerate(found):
            for name in site.names:
                like = site.stack(name)
                like.data = torch.empty(like.shape, dtype=like.dtype)
            for expert in range(site.count):
                held = [_arrays(tier, key) for key in layout.keys(place, expert, bits)]
                for name in site.names:
                    like = site.stack(name)
                    like.data[expert] = tensor(layout.matrix(held, bits, name, shape_of(site, name)), like)
    finally:
        tier.close()


def _arrays(tier: Tier, key: Key) -> Any:
    """A record, read past any store."""
    record = tier.records[key]
    buffer = mmap.mmap(-1, record.bytes)
    tier.read(key, memoryview(buffer))
    return record.views(memoryview(buffer))


def _mean(counts: Counter[int]) -> float:
    return sum(bits * count for bits, count in counts.items()) / max(1, counts.total())

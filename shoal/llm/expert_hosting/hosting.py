"""A model whose experts are on two devices: this process has little memory for them, a worker process has them all.

[after Zhang et al., "DAOP", 2025] The worker computes experts that are not here, on request; after the prompt, if
so wished, before they are routed to: by what the next layer's router says of this layer's input, and with that input.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.cost.hosted_experts import Pace
from shoal.errors import InputError, LimitError
from shoal.llm.expert_hosting.layers import Hosted
from shoal.llm.expert_hosting.residents import Residents
from shoal.llm.expert_parallel import Ways, Workers, workers
from shoal.llm.expert_parallel.plug import activation_of, expert_of, plugged
from shoal.llm.experts import Block, Handle, blocks
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import sites
from shoal.llm.offload.records import check_fits, restore
from shoal.plan.hosted_experts import EXACT, Way, popular
from shoal.store import FileTier, RoutingTrace, TensorStore, Throttled, Tier
from shoal.store.policies.lru import Lru

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Hosting:
    """How experts are shared between this process and the worker.

    Args:
        budget_bytes: for experts in this process: those that stay, and one that passes through unless all fit.
        way: who computes what, and when.
        pace: of both devices, as far as choices depend on it; see `measured`.
        read_bytes_per_s: of the way to this process's memory; emulates a slower one.
        latency_s: of every expert's way; emulated, too.
        copy_s: the worker takes at least so long for a token in an expert; emulates a slower one.
        patience_s: how long the worker may say nothing.
        pinned: the worker runs on one core, this thread on another.
    """

    budget_bytes: int
    way: Way = EXACT
    pace: Pace = field(default_factory=lambda: Pace(slow_s=1.0, load_s=8.0))
    read_bytes_per_s: float = math.inf
    latency_s: float = 0.0
    copy_s: float = 0.0
    patience_s: float = 60.0
    pinned: bool = True


@contextmanager
def hosted(model: PreTrainedModel, path: Path, learned: RoutingTrace, hosting: Hosting) -> Iterator[Hosted]:
    """The model's experts are computed here and by a worker inside the block; afterwards it is as before.

    Args:
        model: of transformers, with experts; is to read a text with a cache: a prompt, then what follows it.
        path: what `write_experts` has written of it.
        learned: routes of other text, by which experts are placed.
        hosting: how.

    Raises:
        ModelError: no layer has experts, or the file is damaged or of another model, or experts of a kind that workers do not
            compute.
        LimitError: the budget does not hold one expert.
        InputError: routes of another model, or a way that this model is too shallow for.
        WorkerDied: inside the block, the worker is gone or says nothing.
    """
    found, places = blocks(model), sites(model)
    _check(found, learned, hosting)
    handle = Handle()
    with ExitStack() as ended:
        ended.enter_context(_one_thread())
        tier = FileTier(path)
        ended.callback(tier.close)
        for place, site in enumerate(places):
            check_fits(place, site, tier.records, str(path))
        largest = max(each.bytes for each in tier.records.values())
        store = ended.enter_context(_store(tier, hosting, largest))
        there = ended.enter_context(_worker(found, hosting))
        if hosting.pinned:
            ended.enter_context(_last_core())
        residents = Residents(store, popular(learned.loads(), _staying(hosting.budget_bytes // largest, learned)))
        ended.callback(residents.close)
        ended.callback(handle.undo)
        made = Hosted(found, places, residents, there, hosting.pace)
        made.again(hosting.way)
        yield _plugged(handle, model, made, path)


def _plugged(handle: Handle, model: PreTrainedModel, made: Hosted, path: Path) -> Hosted:
    handle.later(lambda: restore(made.sites, FileTier(path)))
    for site in made.sites:
        site.free()
    plugged(handle, model, made.blocks, made.answer)
    for place, block in enumerate(made.blocks):
        handle.hook(block.router, made.routing(place))
    handle.later(model.base_model.register_forward_pre_hook(made.begin, with_kwargs=True).remove)
    return made


def _check(found: list[Block], learned: RoutingTrace, hosting: Hosting) -> None:
    shape = len(found), found[0].count
    if (learned.layers, learned.experts) != shape:
        raise InputError("the routes are of another model", needed=f"{shape[0]} layers of {shape[1]} experts",
                         had=f"{learned.layers} of {learned.experts}")  # fmt: skip


def _store(tier: FileTier, hosting: Hosting, largest: int) -> TensorStore:
    if hosting.budget_bytes < largest:
        raise LimitError(
            "the budget does not hold one expert", needed=f"{largest} bytes", had=f"{hosting.budget_bytes}"
        )
    over: Tier = tier
    if math.isfinite(hosting.read_bytes_per_s) or hosting.latency_s:
        over = Throttled(tier, hosting.read_bytes_per_s, hosting.latency_s)
    return TensorStore(over, hosting.budget_bytes, Lru())


def _staying(slots: int, learned: RoutingTrace) -> int:
    """One place is for experts that pass through, unless there is none to do so."""
    every = learned.layers * learned.experts
    return every if slots >= every else slots - 1


@contextmanager
def _worker(found: list[Block], hosting: Hosting) -> Iterator[Workers]:
    """A process that holds all experts."""
    native = np.zeros((len(found), found[0].count), np.int64)
    ways = Ways(patience_s=hosting.patience_s, pinned=hosting.pinned, copy_s=hosting.copy_s)
    with workers(native, activation_of(found), ways) as there:
        for place, block in enumerate(found):
            for number in range(block.count):
                there.hold(place, number, expert_of(block, number))
        yield there


@contextmanager
def _one_thread() -> Iterator[None]:
    """More would fight the worker for cores."""
    torch: Any = transformers_module("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _last_core() -> Iterator[None]:
    """This thread computes there; the worker is on the first."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)

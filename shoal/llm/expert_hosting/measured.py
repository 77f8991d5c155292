"""How long the parts of a layer take on both devices, as they are here; and what of that is hidden."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.cost.hosted_experts import Pace
from shoal.llm.expert_hosting.hosting import Hosting, hosted
from shoal.llm.expert_hosting.layers import Hosted
from shoal.llm.library import transformers_module
from shoal.plan.hosted_experts import EXACT
from shoal.store import FileTier, RoutingTrace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROUNDS = 25  # so many that a thread that once woke late counts little


def measured(
    model: PreTrainedModel, path: Path, learned: RoutingTrace, hosting: Hosting, symbols: NDArray[np.int64]
) -> Pace:
    """Times of a layer's parts, means, as what they add up to is; to be had once, while nobody else computes.

    Args:
        model: see `hosted`.
        path: see `hosted`.
        learned: see `hosted`.
        hosting: the devices, with whatever of them is emulated; budget and way do not matter.
        symbols: (1, places), a text that is read one token after another.

    Raises:
        InputError, ModelError, WorkerDied: see `hosted`.
    """
    tier = FileTier(path)
    tier.close()
    every_bytes = sum(each.bytes for each in tier.records.values())
    with hosted(model, path, learned, replace(hosting, budget_bytes=every_bytes, way=EXACT)) as host:
        token_s = _token_s(model, symbols)
        fast_s = _fast_s(host)
        ask_s, slow_s = _slow_s(host)
        load_s = fmean(each.ended_s - each.begun_s for each in host.residents.told.reads)
    layers, chosen = len(host.blocks), learned.per_token
    return Pace(slow_s, load_s, max(0.0, token_s / layers - chosen * fast_s), fast_s, ask_s)


def hiding(pace: Pace, per_token: int) -> str:
    """Whether an expert that is computed by the worker a layer ahead is ready when it is needed, in words."""
    layer_s = pace.attention_s + (per_token - 1) * pace.fast_s
    told = f"{1e3 * pace.slow_s:.2g} ms of the worker, {1e3 * layer_s:.2g} ms of a layer here"
    return f"hidden: {told}" if pace.hidden(per_token - 1, 1) else f"not hidden, layers wait for the worker: {told}"


def decoded_s(model: PreTrainedModel, symbols: NDArray[np.int64], prompt: int = 1) -> list[float]:
    """Seconds of each pass: the prompt, then one token after another.

    Args:
        model: of transformers.
        symbols: (1, places).
        prompt: places read at once.
    """
    torch = transformers_module("torch")
    given, cache, seconds = torch.from_numpy(symbols), None, list[float]()
    bounds = [0, *range(prompt, symbols.shape[1] + 1)]
    with torch.no_grad():
        for start, end in pairwise(bounds):
            begun_s = time.perf_counter()
            cache = model(given[:, start:end], past_key_values=cache, use_cache=True).past_key_values
            seconds.append(time.perf_counter() - begun_s)
    return seconds


def _token_s(model: PreTrainedModel, symbols: NDArray[np.int64]) -> float:
    return fmean(decoded_s(model, symbols)[1:])


def _fast_s(host: Hosted) -> float:
    """What one expert more takes."""
    count = host.blocks[0].count
    with transformers_module("torch").no_grad():
        one_s, all_s = (_mean_s(partial(_answered, host, each)) for each in (1, count))
    return max(0.0, all_s - one_s) / max(1, count - 1)


def _answered(host: Hosted, count: int) -> None:
    """A token in so many experts of a layer, all here."""
    torch = transformers_module("torch")
    width = host.blocks[0].router.weight.shape[1]
    host.answer(0, torch.ones(1, width), torch.arange(count)[None], torch.ones(1, count))


def _slow_s(host: Hosted) -> tuple[float, float]:
    """A token in one expert of the worker: the asking, and the waiting."""
    width = host.blocks[0].router.weight.shape[1]
    x, chosen, gates = np.ones((1, width), np.float32), np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32)
    asking, waiting = [], []
    for _ in range(ROUNDS * len(host.blocks)):
        begun_s = time.perf_counter()
        pending = host.there.begin(0, x, chosen, gates)
        asked_s = time.perf_counter()
        pending.result()
        asking.append(asked_s - begun_s)
        waiting.append(time.perf_counter() - asked_s)
    return fmean(asking), fmean(waiting)


def _mean_s(work: Callable[[], None]) -> float:
    found = []
    for _ in range(ROUNDS * 8):
        begun_s = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun_s)
    return fmean(found)

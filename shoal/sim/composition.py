"""Requests for many whole models in simulated time: which model each wants, which copies it waits for.

What is held and what leaves is decided by the store's own ledger; see `shoal.sim.storage`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.sim.storage import replayed
from shoal.store import Key, Policy, Preload, TierFigures, Told, Use

I64 = NDArray[np.int64]


def uniform(experts: int, requests: int, seed: int = 0) -> I64:
    """Each expert as likely as another."""
    return np.random.default_rng(seed).integers(0, experts, requests)


def zipf(experts: int, requests: int, exponent: float = 1.0, seed: int = 0) -> I64:
    """The k-th expert as likely as 1/k to a power."""
    return np.random.default_rng(seed).choice(experts, requests, p=zipf_shares(experts, exponent))


def zipf_shares(experts: int, exponent: float = 1.0) -> NDArray[np.float64]:
    """Of each expert, the most wanted first."""
    weights: NDArray[np.float64] = np.arange(1, experts + 1, dtype=np.float64) ** -exponent
    weights /= weights.sum()
    return weights


def bursty(experts: int, requests: int, stay: float = 0.75, seed: int = 0) -> I64:
    """The expert of the request before with probability `stay`, else any.

    Raises:
        InputError: that is no probability.
    """
    if not 0 <= stay <= 1:
        raise InputError("a probability is from 0 to 1", where="stay", had=f"{stay:g}")
    rng = np.random.default_rng(seed)
    anew = rng.random(requests) >= stay
    anew[:1] = True
    return rng.integers(0, experts, requests)[np.maximum.accumulate(np.where(anew, np.arange(requests), 0))]


def served(
    wanted: Sequence[int] | I64, policy: Policy, tier: TierFigures, *, experts: int, expert_bytes: int, held: int,
    execute_s: float, prefetch: bool = False,
) -> Told:  # fmt: skip
    """Requests one after another, each at once after the one before.

    Args:
        wanted: the expert of each.
        policy: what leaves.
        tier: where experts are copied from.
        experts: how many there are.
        expert_bytes: of each.
        held: how many fit the fast memory.
        execute_s: of an answer.
        prefetch: the next request's expert is copied during an answer.

    Raises:
        InputError: there is no request, or none of that number.
        LimitError: the fast memory does not hold one.
    """
    if not len(wanted) or not 0 <= min(wanted) <= max(wanted) < experts:
        raise InputError("requests are for experts that there are", needed=f"0 to {experts - 1}")
    keys = [Key(int(each)) for each in wanted]
    uses = [Use((key,), at * execute_s, at * execute_s, (at + 1) * execute_s, 0, 0) for at, key in enumerate(keys)]
    ahead = [Preload((key,), at * execute_s, 0, instead=True) for at, key in enumerate(keys[1:])]
    sizes = tuple((Key(each), expert_bytes) for each in range(experts))
    told = Told(tier, held * expert_bytes, sizes, tuple(uses), (), tuple(ahead) if prefetch else ())
    return replayed(told, policy, budget_bytes=told.budget_bytes or 1)


def plain_hits(wanted: Sequence[int] | I64, held: int) -> float:
    """The share of requests that the last `held` different experts before them hold."""
    recent: list[int] = []
    hits = 0
    for each in map(int, wanted):
        hits += each in recent
        recent = [*(other for other in recent if other != each), each][-held:]
    return hits / len(wanted)

"""Which units of a chain may stand for each other."""

from __future__ import annotations

import numpy as np

from shoal.plan.chain import Chain

_PER_UNIT = ("send_j", "recv_j", "entry_s", "exit_s", "idle_w", "base_bytes", "memory_limit")
_PER_PIECE = ("seconds", "joules", "weights_bytes", "live_bytes")
_PER_PAIR = ("hop_s", "hop_busy_s")


def alike_units(chain: Chain) -> tuple[int, ...]:
    """Of each unit the first one it may stand for: exchanging the two changes the cost of no plan.

    That is an equivalence: exchanging a with c is exchanging a with b, b with c, and a with b again.
    """
    first: list[int] = []
    for unit in range(chain.units):
        same = (other for other in dict.fromkeys(first) if _exchangeable(chain, other, unit))
        first.append(next(same, unit))
    return tuple(first)


def _exchangeable(chain: Chain, one: int, other: int) -> bool:
    pair = [one, other]
    if any(len(set(getattr(chain, name)[pair].tolist())) > 1 for name in _PER_UNIT):
        return False
    if any((getattr(chain, name)[:, one] != getattr(chain, name)[:, other]).any() for name in _PER_PIECE):
        return False
    swapped = np.arange(chain.units)
    swapped[pair] = other, one
    together = chain.device_of[:, None] == chain.device_of
    if (together[swapped][:, swapped] != together).any():
        return False
    ways = ~np.eye(chain.units, dtype=bool)  # nobody sends to itself
    hops = (getattr(chain, name) for name in _PER_PAIR)
    return all(bool((hop[:, swapped][:, :, swapped] == hop)[:, ways].all()) for hop in hops)

"""Paging that knows no schedule: a tensor comes when it is asked for, and the least recently used ones leave for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shoal.cost.pooled import Exchange, RingLinks
from shoal.sim.paging import Op, Paged, Xpu, check_room, exchanges_s, needs_bytes, working_bytes

Place = tuple[int, int]  # operation, tensor


def reactive(
    ops: Sequence[Op],
    xpu: Xpu,
    local_bytes: float = math.inf,
    exchange: Exchange | None = None,
    devices: int = 1,
    steps: int = 3,
) -> Paged:
    """The last of several steps; reading and work take turns. What `paged` is held against.

    An operation that finds what it read the last time reads nothing, be it of other experts now: that flatters it.

    Raises:
        LimitError: an operation does not fit; how many bytes it takes.
    """
    check_room(ops, local_bytes)
    exchanges, memory = (
        exchanges_s(ops, exchange or RingLinks(), devices),
        _Memory(local_bytes - working_bytes(ops)),
    )
    working_s = sum(map(xpu.seconds, ops)) + sum(exchanges)
    waited_s = fetched_bytes = 0.0
    for _ in range(steps):
        waited_s = fetched_bytes = 0.0
        for place, op in enumerate(ops):
            for at, tensor in enumerate(op.tensors):
                if not memory.use((place, at), needs_bytes([tensor])):
                    waited_s += xpu.fetch_s(tensor.read_bytes)
                    fetched_bytes += tensor.read_bytes
    return Paged(waited_s + working_s, working_s, sum(exchanges), fetched_bytes, 0.0,
                 working_bytes(ops) + memory.peak_bytes)  # fmt: skip


class _Memory:
    """Tensors in the order of their last use."""

    def __init__(self, room_bytes: float) -> None:
        self._room_bytes = room_bytes * (1 + 1e-12)  # sums of unlike order
        self._here: dict[Place, float] = {}
        self.peak_bytes = 0.0

    def use(self, key: Place, size: float) -> bool:
        """Whether it is here; if not, it comes. Tensors of its own operation do not leave for it."""
        found = key in self._here
        self._here[key] = self._here.pop(key, size)  # the last one now
        held_bytes = sum(self._here.values())
        for other in [each for each in self._here if each[0] != key[0]]:
            if held_bytes <= self._room_bytes:
                break
            held_bytes -= self._here.pop(other)
        self.peak_bytes = max(self.peak_bytes, held_bytes)
        return found

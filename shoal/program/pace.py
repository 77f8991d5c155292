"""How long things take on the machines a Program is meant for.

The simulator takes its times from here, and so does a worker that emulates a board: both follow the same queueing
rules, so the times of an emulated run are those of a simulated one as long as the real machine keeps up.

One thing differs: an emulating worker knows only what it sends itself. On a medium that several parties share, it
does not wait for what the others send; and it books the second hop of a message when it sends it, while in the
simulator messages queue at each hop in the order in which they get there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hop:
    """One link on an edge's way. Messages of one `medium` follow one another; the latency overlaps."""

    medium: str  # one queue each: the link's name if shared, else name and direction
    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True)
class Pace:
    """Seconds of each segment, and the hops of each edge (none: within one device)."""

    segments_s: Mapping[str, float]
    hops: Mapping[str, tuple[Hop, ...]] = field(default_factory=dict)

    def stretched(self, factor: float) -> Pace:
        """The same machines, everything `factor` times slower."""
        return Pace(
            {name: seconds * factor for name, seconds in self.segments_s.items()},
            {
                edge: tuple(Hop(hop.medium, hop.bytes_per_s / factor, hop.latency_s * factor) for hop in hops)
                for edge, hops in self.hops.items()
            },
        )


class Media:
    """When each medium is free again."""

    def __init__(self) -> None:
        self._free_s: dict[str, float] = {}

    def carry(self, hops: tuple[Hop, ...], payload_bytes: int, start_s: float) -> float:
        """Put a message on its way at `start_s`; returns when it is there (store and forward at each hop)."""
        now = start_s
        for hop in hops:
            now = self.cross(hop, payload_bytes, now)
        return now

    def cross(self, hop: Hop, payload_bytes: float, start_s: float) -> float:
        """Put a message on one hop at `start_s`; returns when it has crossed it."""
        begin_s = self._free_s.get(hop.medium, 0.0)
        begin_s = max(begin_s, start_s)
        free_s = self._free_s[hop.medium] = self._end_s(hop.medium, begin_s, payload_bytes / hop.bytes_per_s)
        return free_s + hop.latency_s

    def _end_s(self, medium: str, begin_s: float, seconds: float) -> float:
        """When a message that begins then and takes `seconds` leaves the medium to the next one."""
        return begin_s + seconds

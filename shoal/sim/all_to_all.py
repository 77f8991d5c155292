"""All nodes send to all, over the links of a network: messages queue at each link in the order in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from shoal.errors import InputError
from shoal.events import Kernel
from shoal.fleet.fat_trees import Link, Network


@dataclass(frozen=True)
class Cluster:
    """Nodes of several devices, each with a link of its own into the network, and one inside the node.

    The device of rail r on node n is endpoint r · nodes + n, so that a rail's devices lie side by side.
    """

    network: Network
    rails: int  # devices of a node
    link_bytes_per_s: float = 40e9  # of the network; 50 GB/s nominal, 40 effective
    inside_bytes_per_s: float = 160e9  # of a device inside its node; 200 nominal, 160 effective
    hop_s: float = 0.0  # of each link on the way

    def __post_init__(self) -> None:
        if self.rails < 1 or self.network.endpoints % self.rails:
            raise InputError(f"{self.rails} rails do not share {self.network.endpoints} endpoints evenly")
        if min(self.link_bytes_per_s, self.inside_bytes_per_s) <= 0 or self.hop_s < 0:
            raise InputError("links need a speed", had=str(self.link_bytes_per_s))

    @property
    def nodes(self) -> int:
        """How many."""
        return self.network.endpoints // self.rails

    def way(self, start: int, end: int, *, railed: bool = True) -> tuple[int, ...]:
        """What a message passes, from endpoint to endpoint.

        Args:
            start: where from.
            end: where to.
            railed: it changes to the rail of its end inside the node first, as it must where rails are planes; else the
                network takes it all the way.

        Raises:
            InputError: no way leads there.
        """
        here, there = start % self.nodes, end % self.nodes
        relay = end - there + here
        if here == there or (railed and start != relay):
            inside = (start, -1 - here)  # the switch inside the node has a negative number
            return (*inside, end) if here == there else inside + self._across(relay, end)
        return self._across(start, end)

    def _across(self, start: int, end: int) -> tuple[int, ...]:
        """A shortest way; of several next switches one by the digits of the end's number, which spreads ends evenly."""
        left = self._distances(end)
        if left[start] < 0:
            raise InputError("no way leads across the network", where=f"endpoint {start} to {end}")
        found, digits = [start], end
        while found[-1] != end:
            nearer = [each for each in self.network.neighbours[found[-1]] if left[each] == left[found[-1]] - 1]
            digits, digit = divmod(digits, len(nearer)) if len(nearer) > 1 else (digits, 0)
            found.append(nearer[digit])
        return tuple(found)

    @cached_property
    def _known(self) -> dict[int, list[int]]:
        return {}

    def _distances(self, end: int) -> list[int]:
        return self._known.get(end) or self._known.setdefault(end, self.network.distances(end))


@dataclass
class _Links:
    cluster: Cluster
    kernel: Kernel = field(default_factory=Kernel)
    free_s: dict[Link, float] = field(default_factory=dict)
    ended_s: float = 0.0

    def send(self, way: Sequence[int], size: float) -> None:
        """The message is whole at the first of `way` now."""
        if len(way) == 1:
            self.ended_s = max(self.ended_s, self.kernel.now_s)
            return
        link = (way[0], way[1])
        speed = self.cluster.inside_bytes_per_s if min(link) < 0 else self.cluster.link_bytes_per_s
        done = max(self.kernel.now_s, self.free_s.get(link, 0.0)) + size / speed
        self.free_s[link] = done
        self.kernel.at(done + self.cluster.hop_s, lambda: self.send(way[1:], size))


def all_to_all_s(cluster: Cluster, message_bytes: float, *, railed: bool = True, parts: int = 4) -> float:
    """Seconds until every device has sent a message to every other one.

    Args:
        cluster: of them.
        message_bytes: of each.
        railed: see `Cluster.way`.
        parts: of a message; each is passed on when it is whole.
    """
    count = cluster.network.endpoints
    return exchange_s(cluster, [[message_bytes] * count] * count, railed=railed, parts=parts)


def exchange_s(cluster: Cluster, sizes: Sequence[Sequence[float]], *, railed: bool = True, parts: int = 4) -> float:
    """The same with messages of different sizes, [from][to]; none of no bytes, and none to oneself."""
    links, count = _Links(cluster), cluster.network.endpoints
    messages = [  # in each shift no two send to the same one
        (cluster.way(start, (start + shift) % count, railed=railed), sizes[start][(start + shift) % count] / parts)
        for shift in range(1, count)
        for start in range(count)
        if sizes[start][(start + shift) % count] > 0
    ]
    for way, size in messages * parts:
        links.send(way, size)
    links.kernel.run()
    return links.ended_s

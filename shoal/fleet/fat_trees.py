"""Fat trees of switches, link by link: of two layers, of three, and of several planes.

Sources: Al-Fares et al., "A Scalable, Commodity Data Center Network Architecture", 2008; planes: Zhao et al., arXiv
2505.09343, section 5.1: the i-th network card of every node is on plane i, and planes meet inside nodes only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from shoal.errors import InputError

Link = tuple[int, int]


@dataclass(frozen=True)
class Network:
    """Endpoints are 0, 1, …; switches are numbered after them."""

    endpoints: int
    switches: int
    links: tuple[Link, ...]

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Of each endpoint and switch, ascending."""
        found: list[list[int]] = [[] for _ in range(self.endpoints + self.switches)]
        for one, other in self.links:
            found[one].append(other)
            found[other].append(one)
        return tuple(tuple(sorted(each)) for each in found)

    @property
    def between_switches(self) -> int:
        """Links that no endpoint is at."""
        return sum(min(link) >= self.endpoints for link in self.links)

    def distances(self, start: int) -> list[int]:
        """Links from `start` to each endpoint and switch; -1 where no way leads."""
        found = [-1] * len(self.neighbours)
        found[start] = 0
        queue = deque([start])
        while queue:
            at = queue.popleft()
            for near in self.neighbours[at]:
                if found[near] < 0:
                    found[near] = found[at] + 1
                    queue.append(near)
        return found


def two_layers(ports: int) -> Network:
    """As many leaves as a switch has ports, half as many spines; half the ports of a leaf are for endpoints.

    Raises:
        InputError: an odd number of ports, or none.
    """
    half = _half(ports)
    endpoints = ports * half
    leaf, spine = endpoints, endpoints + ports
    down = [(at, leaf + at // half) for at in range(endpoints)]
    up = [(leaf + one, spine + other) for one in range(ports) for other in range(half)]
    return Network(endpoints, ports + half, tuple(down + up))


def three_layers(ports: int) -> Network:
    """As many pods as a switch has ports, each of half as many edges and as many switches above them; cores join them.

    Raises:
        InputError: an odd number of ports, or none.
    """
    half = _half(ports)
    endpoints, each = ports * half * half, ports * half
    edge, above, core = endpoints, endpoints + each, endpoints + 2 * each
    links = [(at, edge + at // half) for at in range(endpoints)]
    for at in range(each):  # switch `at % half` of pod `at // half`
        pod = at // half * half
        links += [(edge + at, above + pod + other) for other in range(half)]
        links += [(above + at, core + at % half * half + other) for other in range(half)]
    return Network(endpoints, 2 * each + half * half, tuple(links))


def multi_plane(ports: int, planes: int) -> Network:
    """So many trees of two layers that do not know each other: endpoints of plane 0 first.

    Raises:
        InputError: an odd number of ports, none, or no plane.
    """
    if planes < 1:
        raise InputError("a network without planes", had=str(planes))
    return beside([two_layers(ports)] * planes)


def beside(networks: Sequence[Network]) -> Network:
    """Several networks as one, without a link between them."""
    endpoints = sum(each.endpoints for each in networks)
    links: list[Link] = []
    first, switch = 0, endpoints
    for each in networks:
        moved = [first + at for at in range(each.endpoints)] + [switch + at for at in range(each.switches)]
        links += [(moved[one], moved[other]) for one, other in each.links]
        first, switch = first + each.endpoints, switch + each.switches
    return Network(endpoints, switch - endpoints, tuple(links))


def _half(ports: int) -> int:
    if ports < 2 or ports % 2:
        raise InputError("switches need an even number of ports", had=str(ports))
    return ports // 2

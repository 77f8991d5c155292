"""A placement made better step by step: a layer's hosts exchanged, two experts exchanged, one moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shoal.errors import MissingExtra
from shoal.plan.experts._mean import Mean
from shoal.plan.experts._values import F64, I64

SAME = 1e-9  # relative
ROUNDS = 50


def improved(mean: Mean, places: I64, slots: Sequence[int], *, whole: bool = False) -> I64:
    """Layers forward, then backward, until nothing is gained.

    Args:
        mean: what is judged by; no result is worse than `places`.
        places: (L, E) hosts to begin with.
        slots: of each host.
        whole: only all experts of a host at once go elsewhere, to a host of as much room and speed.
    """
    found = places.copy()
    order = [*range(len(found)), *reversed(range(len(found)))]
    for _ in range(ROUNDS):
        before = found.copy()
        for layer in order:
            _improve_layer(mean, found, layer, slots, whole)
        if (before == found).all():
            break
    return found


def _improve_layer(mean: Mean, places: I64, layer: int, slots: Sequence[int], whole: bool) -> None:
    """Change one row of `places` while that gains something."""
    near, part = mean.near(layer)
    best = near.judged(places[part])
    gained = True
    while gained:
        gained = False
        others = _exchanges(near, places, part, layer) if whole else _changes(near, places, part, layer)
        for row in others:
            if not _fits(places, layer, row, slots):
                continue
            before, places[layer] = places[layer].copy(), row
            now = near.judged(places[part])
            if _better(now, best):
                best, gained = now, True
                break
            places[layer] = before


def _better(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """By the objective; where that is the same, by the sum."""
    room = [SAME * abs(each) for each in other]
    return one[0] < other[0] - room[0] or (one[0] <= other[0] and one[1] < other[1] - room[1])


def _fits(places: I64, layer: int, row: I64, slots: Sequence[int]) -> bool:
    held = np.bincount(np.concatenate([np.delete(places, layer, 0).ravel(), row]), minlength=len(slots))
    return bool((held <= np.asarray(slots)).all())


def _changes(mean: Mean, places: I64, part: slice, layer: int) -> Iterator[I64]:
    row, hosts = places[layer].copy(), len(mean.fleet.hosts)
    yield from _exchanges(mean, places, part, layer)
    for one in range(len(row)):
        for other in range(one + 1, len(row)):
            if row[one] != row[other]:
                found = row.copy()
                found[one], found[other] = row[other], row[one]
                yield found
        for host in range(hosts):
            if host != row[one]:
                found = row.copy()
                found[one] = host
                yield found


def _exchanges(mean: Mean, places: I64, part: slice, layer: int) -> Iterator[I64]:
    """The experts of each host on another one: all at once the cheapest by sums of bytes, and two at a time."""
    row, hosts = places[layer], np.arange(len(mean.fleet.hosts))
    if mean.combine == "stay":
        yield _assigned(mean, places[part], layer - part.start)[row]
    for one in hosts:
        for other in hosts[one + 1 :]:
            order = hosts.copy()
            order[one], order[other] = other, one
            yield order[row]


def _assigned(mean: Mean, places: I64, layer: int) -> I64:
    """For each host the one that its experts would go to, by the seconds of all bytes from and to other layers."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    hosts = len(mean.fleet.hosts)
    speeds = np.array([wire.bytes_per_s for wire in mean.fleet.wires])
    byte_s = (1 / speeds @ mean.fleet.passing).reshape(hosts, hosts)
    joined = mean.joined(places).flow
    own: F64 = joined.homes[0, layer].T @ byte_s if not layer else joined.moves[0, layer - 1].T @ byte_s
    if layer + 1 < len(places):
        own = own + joined.moves[0, layer] @ byte_s.T
    found: I64 = linear_sum_assignment(own)[1]
    return found

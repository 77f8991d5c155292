"""What a store did, laid along time: reading beside computing, and where one waited for the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from shoal.record import Span
from shoal.store.told import Told

COMPUTING, WAITING, READING = ROWS = "computing", "waiting", "reading"
UNIT = "weights"
Stretch = tuple[float, float]  # seconds by the store's clock: from, to
ALWAYS: Stretch = (-math.inf, math.inf)


def waits(told: Told) -> tuple[Stretch, ...]:
    """When somebody waited for a record, in order, without overlaps."""
    found = [(use.asked_s, use.ready_s) for use in told.uses if use.hits < len(use.keys)]
    merged: list[Stretch] = []
    for begun_s, ended_s in sorted(found):
        if merged and begun_s <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(ended_s, merged[-1][1])
        else:
            merged.append((begun_s, ended_s))
    return tuple(merged)


def computed(told: Told) -> tuple[Stretch, ...]:
    """When nobody waited: the rest between the first asking and the last end."""
    if not told.uses:
        return ()
    at_s, found = min(use.asked_s for use in told.uses), list[Stretch]()
    for begun_s, ended_s in waits(told):
        if begun_s > at_s:
            found.append((at_s, begun_s))
        at_s = ended_s
    end_s = max(use.ended_s for use in told.uses)
    return (*found, (at_s, end_s)) if end_s > at_s else tuple(found)


def spans(told: Told, within: Stretch = ALWAYS) -> tuple[Span, ...]:
    """All of it, in a row each of `ROWS`, as far as it lies within a stretch."""
    by_s = {use.asked_s: use for use in told.uses}
    found = [Span("run", f"{UNIT}/{COMPUTING}", COMPUTING, at, *each) for at, each in enumerate(computed(told))]
    for at, each in enumerate(waits(told)):
        keys = ", ".join(map(str, by_s[each[0]].keys))
        found.append(Span("run", f"{UNIT}/{WAITING}", keys, at, *each))
    for at, read in enumerate(told.reads):
        joules = read.bytes * told.tier.energy_j_per_byte
        when = read.begun_s, read.ended_s
        found.append(Span("run", f"{UNIT}/{READING}", str(read.key), at, *when, read.bytes, joules))
    return tuple(_cut(found, within))


def _cut(found: Iterable[Span], within: Stretch) -> Iterator[Span]:
    for each in found:
        start_s, end_s = max(each.start_s, within[0]), min(each.end_s, within[1])
        if end_s > start_s:
            yield replace(each, start_s=start_s, end_s=end_s)

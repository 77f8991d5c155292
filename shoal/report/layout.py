"""Where the ops of a graph go in a picture: layers by depth, lanes by line of descent, folded into rows.

A simple layered layout: an op sits one layer after its last producer and, if it can, in that producer's lane, so
that the main path runs straight; an arrow that skips layers gets a lane of its own beside it. Deep networks are
then folded like a snake, so that six hundred layers still fit a page and neighbours stay neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

Place = tuple[int, int]  # layer, lane
Point = tuple[float, float]  # x to the right, y downwards


@dataclass(frozen=True)
class Layout:
    """`places[i]` is op i's layer and lane; `wires[k]` are the corners of arrow k, ends included."""

    places: tuple[Place, ...]
    wires: tuple[tuple[Place, ...], ...]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return 1 + max((layer for layer, _ in self.places), default=-1)


@dataclass(frozen=True)
class Picture:
    """A folded layout: points of the ops, polylines of the arrows, and the extent they fill."""

    points: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    width: int
    height: float


def layered(count_ops: int, arrows: Sequence[tuple[int, int]]) -> Layout:
    """Lay out `count_ops` ops in topological order; `arrows` go from producer to consumer index."""
    producers: list[list[int]] = [[] for _ in range(count_ops)]
    consumers: list[list[int]] = [[] for _ in range(count_ops)]
    for source, target in arrows:
        producers[target].append(source)
        consumers[source].append(target)
    layers = _layers(producers, consumers)
    lanes, held = _lanes(layers, producers, consumers)
    places = tuple(zip(layers, lanes, strict=True))
    return Layout(places, tuple(_wire(places[s], places[t], held.get(s)) for s, t in arrows))


def fold(layout: Layout, per_row: int) -> Picture:
    """`layout` in rows of `per_row` layers, every second one running right to left."""
    per_row = max(1, min(per_row, layout.depth))
    corners = [tuple(_with_turns(wire, per_row)) for wire in layout.wires]
    tops, height = _row_tops(layout, corners, per_row)

    def point(place: Place) -> Point:
        row, column = divmod(place[0], per_row)
        return (float(column if row % 2 == 0 else per_row - 1 - column), tops[row] + place[1])

    return Picture(
        tuple(point(place) for place in layout.places),
        tuple(tuple(point(place) for place in wire) for wire in corners),
        per_row,
        height,
    )


def _layers(producers: Sequence[Sequence[int]], consumers: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each op: the first possible for those nobody reads, the last possible for all others.

    Late rather than early, because an op without producers (one that unpacks a weight, say) could stand
    anywhere, and beside its reader its arrow is short.
    """
    layers: list[int] = []
    for sources in producers:
        layers.append(1 + max((layers[s] for s in sources), default=-1))
    for op in reversed(range(len(layers))):
        layers[op] = min((layers[reader] - 1 for reader in consumers[op]), default=layers[op])
    return layers


def _lanes(
    layers: Sequence[int], producers: Sequence[Sequence[int]], consumers: Sequence[Sequence[int]]
) -> tuple[list[int], dict[int, int]]:
    """A lane for each op, and one for each op whose value crosses a layer on its way to a later reader."""
    lanes = [0] * len(layers)
    held: dict[int, int] = {}
    busy_until: dict[int, int] = {}  # lane -> last layer that a crossing value takes it
    for layer, ops in enumerate(_by_layer(layers)):
        taken = {lane for lane, last in busy_until.items() if last >= layer}
        for op in ops:
            lanes[op] = _nearest(_wanted(op, layers, lanes, producers), taken)
            taken.add(lanes[op])
        kept = {lanes[op] for op in ops if any(layers[c] == layer + 1 for c in consumers[op])}
        crossing = {lane for lane, last in busy_until.items() if last > layer}
        for op in ops:
            last = max((layers[c] for c in consumers[op]), default=layer) - 1
            if last > layer:
                blocked = kept | crossing
                held[op] = _nearest(lanes[op], blocked)
                busy_until[held[op]] = last
                crossing.add(held[op])
    return lanes, held


def _by_layer(layers: Sequence[int]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(1 + max(layers, default=-1))]
    for op, layer in enumerate(layers):
        found[layer].append(op)
    return found


def _wanted(op: int, layers: Sequence[int], lanes: Sequence[int], producers: Sequence[Sequence[int]]) -> int:
    """The lane of the producer just before, nearest the middle; 0 for an op that starts a path."""
    near = [lanes[s] for s in producers[op] if layers[s] == layers[op] - 1]
    return min(near or [lanes[s] for s in producers[op]], key=abs, default=0)


def _nearest(wanted: int, taken: Iterable[int]) -> int:
    taken = set(taken)
    for step in count():
        for lane in (wanted + step, wanted - step):
            if lane not in taken:
                return lane
    raise AssertionError("lanes are endless")


def _wire(start: Place, end: Place, lane: int | None) -> tuple[Place, ...]:
    if lane is None or end[0] - start[0] <= 1:
        return (start, end)
    return (start, (start[0] + 1, lane), (end[0] - 1, lane), end)


def _with_turns(wire: Sequence[Place], per_row: int) -> Iterator[Place]:
    """The corners of `wire` with those where it leaves one row and enters the next."""
    yield wire[0]
    for (before, _), (after, lane) in pairwise(wire):
        for edge in range((before // per_row + 1) * per_row, after + 1, per_row):
            if edge - 1 > before:
                yield (edge - 1, lane)
            if edge < after:
                yield (edge, lane)
        yield (after, lane)


def _row_tops(layout: Layout, corners: Sequence[Sequence[Place]], per_row: int) -> tuple[list[float], float]:
    """The y of lane 0 in each row, and the height of all rows."""
    rows = -(-layout.depth // per_row)
    low, high = [0] * rows, [0] * rows
    for layer, lane in (*layout.places, *(place for wire in corners for place in wire)):
        row = layer // per_row
        low[row], high[row] = min(low[row], lane), max(high[row], lane)
    tops, top = [], 0.0
    for row in range(rows):
        tops.append(top - low[row])
        top += high[row] - low[row] + 2.0
    return tops, max(0.0, top - 2.0)

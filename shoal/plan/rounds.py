"""What carried tensors cost a placement: memory where they are kept, messages, and rounds that items wait for.

A round leads from a piece that reads a carried tensor through what follows from it to the piece that makes it for
the next item, and back. Items follow one another no quicker than

    the largest, over all circles of rounds, of (seconds of pieces + seconds of hops) / rounds in the circle

which is the maximum cycle mean [Karp, Discrete Mathematics 23, 1978] of the times from one reader to the next; times
the share of the items that are of one session, since sessions do not wait for one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Carried, Graph, Piece
from shoal.program import Item

F64 = NDArray[np.float64]
Way = Callable[[str, str, str], float]  # seconds of a tensor from one unit to another


class Over(NamedTuple):
    """A carried tensor on its way from the piece that makes it to pieces of one unit that read it for the next item."""

    carried: Carried
    writer: int  # place of the piece
    readers: tuple[int, ...]
    source: str
    target: str
    bytes: int


def overs(graph: Graph, found: Sequence[Piece], units: Sequence[str]) -> list[Over]:
    """The carried tensors that leave their piece; `units` are those of the pieces."""
    made = []
    for each in graph.carried:
        writer = _writer(found, each)
        readers: dict[str, list[int]] = {}
        for place, piece in enumerate(found):
            if each.input in piece.inputs and place != writer:
                readers.setdefault(units[place], []).append(place)
        size = graph.tensors[each.input].bytes
        made += [
            Over(each, writer, tuple(places), units[writer], target, size) for target, places in readers.items()
        ]
    return made


def kept_bytes(
    graph: Graph, found: Sequence[Piece], units: Sequence[str], window: int, pattern: Sequence[Item]
) -> Iterator[tuple[str, int]]:
    """Units and the bytes that carried tensors take there: one of each session (or of the stream), and buffers."""
    sessions = len({item.session for item in pattern})
    for each in graph.carried:
        writer, size = _writer(found, each), graph.tensors[each.input].bytes
        if each.input in found[writer].inputs:
            yield units[writer], size * (sessions if each.scope == "session" else 1)
    for over in overs(graph, found, units):
        yield over.target, over.bytes * (sessions if over.carried.scope == "session" else 1)
        for end in {over.source, over.target}:
            yield end, (window + 1) * over.bytes


def state_bytes(graph: Graph, ops: Iterable[str], pattern: Sequence[Item]) -> tuple[int, int]:
    """Bytes of the carried tensors that `ops` make, if what reads them is there too: as states, and written in one run.

    What is written stays alive until the item is done; an op that changes a state in place writes less than all of it.
    """
    sessions, names = len({item.session for item in pattern}), set(ops)
    made = [(each, graph.ops[graph.producer[each.output]]) for each in graph.carried]
    sizes = [(each, op, graph.tensors[each.input].bytes) for each, op in made if op.name in names]
    kept = sum(size * (sessions if each.scope == "session" else 1) for each, _, size in sizes)
    return kept, sum(min(size, op.written_bytes) for _, op, size in sizes)


def round_s(
    graph: Graph,
    found: Sequence[Piece],
    units: Sequence[str],
    seconds: Sequence[float],
    way: Way,
    pattern: Sequence[Item],
) -> float:
    """The least seconds between items that rounds allow; 0 if nothing carried leaves its piece."""
    leaving = overs(graph, found, units)
    if not leaving:
        return 0.0
    times = np.full((len(leaving), len(leaving)), -np.inf)
    for row, start in enumerate(leaving):
        ends = _ends(found, units, seconds, way, start.readers)
        for column, end in enumerate(leaving):
            if end.writer in ends:
                times[row, column] = ends[end.writer] + way(end.carried.output, end.source, end.target)
    scope = graph.carried[0].scope
    return max(0.0, cycle_mean(times)) * (_busiest_share(pattern) if scope == "session" else 1.0)


def untold(graph: Graph, found: Sequence[Piece], units: Sequence[str]) -> int:
    """How many pieces never run, because a message has to tell their unit first that an item is there."""
    given = set(graph.given).difference(graph.inputs)
    if all(set(piece.inputs) - given for piece in found):
        return 0  # each waits for something of the item
    readers = {
        name: {unit for piece, unit in zip(found, units, strict=True) if name in piece.inputs}
        for name in (*graph.inputs, *(name for piece in found for name in piece.outputs))
    }
    there, left = set(graph.given), set(range(len(found)))
    told = set[str]().union(*(readers[name] for name in graph.inputs))
    while ready := {place for place in left if units[place] in told and there.issuperset(found[place].inputs)}:
        left -= ready
        for name in (name for place in ready for name in found[place].outputs):
            there.add(name)
            told |= readers[name]
    return len(left)


def cycle_mean(times: F64) -> float:
    """The largest mean weight of the circles of a graph whose arrows weigh `times` (-inf: none); -inf: no circle."""
    count = len(times)
    walks = [np.zeros(count)]  # best walk of so many arrows that ends at each
    for _ in range(count):
        walks.append((walks[-1][:, None] + times).max(axis=0))
    best = -np.inf
    for node in np.flatnonzero(np.isfinite(walks[-1])).tolist():
        means = [
            (walks[count][node] - walks[length][node]) / (count - length)
            for length in range(count)
            if np.isfinite(walks[length][node])
        ]
        best = max(best, min(means))
    return float(best)


def _ends(
    found: Sequence[Piece], units: Sequence[str], seconds: Sequence[float], way: Way, starts: Iterable[int]
) -> Mapping[int, float]:
    """When each piece that follows from `starts` ends, if these begin at 0 and nothing else is waited for."""
    ends: dict[int, float] = {}
    maker = {name: place for place, piece in enumerate(found) for name in piece.outputs}
    for place, piece in enumerate(found):  # in an order in which they can run
        came = [
            ends[maker[name]] + way(name, units[maker[name]], units[place])
            for name in piece.inputs
            if maker.get(name) in ends
        ]
        if place in starts:
            came.append(0.0)
        if came:
            ends[place] = max(came) + seconds[place]
    return ends


def _writer(found: Sequence[Piece], each: Carried) -> int:
    return next(place for place, piece in enumerate(found) if each.output in piece.outputs)


def _busiest_share(pattern: Sequence[Item]) -> float:
    counts = Counter(item.session for item in pattern)
    return max(counts.values()) / len(pattern)

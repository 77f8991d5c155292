"""Loops through carried tensors: which ops an item passes between taking a state and leaving it to the next item.

An op lies on a loop if what it makes reaches, over one item or several, the op itself. Whoever runs a loop on one
unit keeps its state there; a loop that is divided waits for a message of the item before.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.graph.values import Carried, Graph


def find(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """The ops of each loop, in order; ops that several loops share make them one."""
    if not graph.carried:
        return ()
    after = [_reached(graph, each, forward=True) for each in graph.carried]
    before = [_reached(graph, each, forward=False) for each in graph.carried]
    found: dict[frozenset[int], set[int]] = {}
    for pairs in _closed(graph, after):
        members = set[int]().union(*(after[pair] for pair in pairs))
        found[pairs] = members & set[int]().union(*(before[pair] for pair in pairs))
    return tuple(tuple(graph.ops[index].name for index in sorted(ops)) for ops in found.values())


def spans(graph: Graph) -> tuple[range, ...]:
    """Indices after which a cut would part the op that makes a carried tensor from one that reads it."""
    found = []
    for each in graph.carried:
        ends = (*graph.consumers[each.input], graph.producer[each.output])
        found.append(range(min(ends), max(ends)))
    for loop in graph.loops:
        found.append(range(graph.position[loop[0]], graph.position[loop[-1]]))
    return tuple(found)


def contracted(graph: Graph, wholes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The ops in an order in which they can run, the ops of each of `wholes` (loops) together.

    As near to the graph's own order as that allows.
    """
    if not wholes:
        return [(index,) for index in range(len(graph.ops))]
    node = {index: min(whole) for whole in wholes for index in whole}
    members: dict[int, list[int]] = {}
    for index in range(len(graph.ops)):
        members.setdefault(node.get(index, index), []).append(index)
    arrows = {
        (node.get(source, source), node.get(index, index))
        for index, op in enumerate(graph.ops)
        for source in (graph.producer.get(name) for name in op.inputs)
        if source is not None and node.get(source, source) != node.get(index, index)
    }
    readers: dict[int, list[int]] = {each: [] for each in members}
    missing = dict.fromkeys(members, 0)
    for source, reader in arrows:
        readers[source].append(reader)
        missing[reader] += 1
    return [tuple(members[each]) for each in topological(readers, missing)]


def topological(readers: Mapping[int, Sequence[int]], missing: dict[int, int]) -> list[int]:
    """The keys of `readers` in an order in which they can run, the least first among those free to go.

    Args:
        readers: of each, who waits for it.
        missing: of each, how many it waits for; used up.
    """
    free = [each for each, count in missing.items() if not count]
    heapq.heapify(free)
    order = []
    while free:
        each = heapq.heappop(free)
        order.append(each)
        for reader in readers[each]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(free, reader)
    return order


def _reached(graph: Graph, carried: Carried, *, forward: bool) -> set[int]:
    """Indices of the ops after the carried input, or of those before the carried output, within one item."""
    found: set[int] = set()
    waiting = list(graph.consumers[carried.input]) if forward else [graph.producer[carried.output]]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            op = graph.ops[index]
            if forward:
                waiting += [reader for name in op.outputs for reader in graph.consumers[name]]
            else:
                waiting += [graph.producer[name] for name in op.inputs if name in graph.producer]
    return found


def _closed(graph: Graph, after: Sequence[set[int]]) -> list[frozenset[int]]:
    """Groups of carried tensors (their indices) each of which reaches all of its group, itself too."""
    count = len(graph.carried)
    writers = [graph.producer[each.output] for each in graph.carried]
    reach = [{other for other in range(count) if writers[other] in after[pair]} for pair in range(count)]
    for middle in range(count):  # Warshall's closure
        for pair in range(count):
            if middle in reach[pair]:
                reach[pair] |= reach[middle]
    groups = {
        frozenset(other for other in reach[pair] if pair in reach[other])
        for pair in range(count)
        if pair in reach[pair]
    }
    return sorted(groups, key=min)

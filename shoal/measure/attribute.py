"""Which op of the graph an engine's own node stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.graph import Graph

_NUMBER = re.compile(r"#(\d+)#")
_BLOCKED = re.compile(r"(.*?)(_bn|_mul)?_nchwc")  # a tensor in blocked layout; two kinds became a convolution
_LONGEST_CHAIN = 8  # ops fused behind one another


@dataclass(frozen=True)
class Node:
    """A node as the engine runs it. Ops were written under the name "#place#", which rewrites mostly keep."""

    name: str
    kind: str
    outputs: tuple[str, ...]


def owners(graph: Graph, nodes: Sequence[Node]) -> list[int]:
    """The place of the op that each node stands for, in the order the nodes run.

    A node is known by the number in its name, by a tensor of the graph among its outputs, or by such a tensor's
    name at the start of its own (blocked convolutions are called so). The time of a fused node goes to the op of
    its own kind at the head of the chain, because that is what its time grows with. A node of the engine's own,
    say a change of layout, goes with the node that runs before it, or the first known one.
    """
    known = [_known(graph, node) for node in nodes]
    last = next((place for place in known if place is not None), 0)
    found = []
    for place in known:
        last = last if place is None else place
        found.append(last)
    return found


def _known(graph: Graph, node: Node) -> int | None:
    number = _NUMBER.search(node.name)
    if number and int(number[1]) < len(graph.ops):
        return _head(graph, int(number[1]), node.kind)
    if node.kind.startswith("Reorder"):
        return None  # its output may be a tensor of the graph, of which it makes only the layout
    for tensor in node.outputs:
        if tensor in graph.producer:
            return _head(graph, graph.producer[tensor], node.kind)
    return _blocked(graph, node)


def _blocked(graph: Graph, node: Node) -> int | None:
    name = _BLOCKED.fullmatch(node.name)
    if name is None or name[1] not in graph.producer:
        return None
    place = graph.producer[name[1]]
    return place if name[2] else _head(graph, place, node.kind)


def _head(graph: Graph, place: int, kind: str) -> int:
    """The nearest op of `kind` among `place` and its producers, first inputs first; `place` if there is none."""
    wanted = kind.removeprefix("Fused")
    level = [place]
    for _ in range(_LONGEST_CHAIN):
        for each in level:
            if graph.ops[each].kind == wanted:
                return each
        names = [name for each in level for name in graph.ops[each].inputs]
        level = list(dict.fromkeys(graph.producer[name] for name in names if name in graph.producer))
    return place

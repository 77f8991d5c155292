"""Groups of ops, one per owner, split into pieces that can each run as soon as its inputs are there.

The rule. An op waits for the pieces of other owners whose tensors it needs, directly or through ops of its
own owner. It is urgent for the first tensor that another owner needs and that depends on it, first by how many
heavy ops (those that multiply) lie before it. A piece is all ops of one owner that wait for the same pieces and
are as urgent. So

* no piece waits for a tensor that only part of it needs: a unit ships its first branch before the input of
  its second has come;
* no tensor that others wait for is kept back by heavy work that it does not need: half a picture leaves before
  the unit sets to work on the other half;
* no two pieces of an owner could be joined without breaking that, so a stage fed by one other stage is one
  piece;
* tensors of one piece leave together, when it has run, so waiting for one or for all of them is the same.

It is acyclic. Give each piece a rank: 0 if it waits for nobody, else one more than the highest rank it waits
for. Between owners, an arrow from P to Q makes Q wait for P: the rank rises. Within one owner, an op that
reads from another waits for all that it waits for: the rank does not fall, and if it stays, the set grows, or
stays too and the urgency falls, since all three equal would be one piece. A cycle would need none to change.

Ops that depend on no input of the item (they unpack a weight, or begin with a carried tensor) and are read by
their own owner only would found pieces for nothing; each goes to the earliest piece that reads it, so the arrows
it adds point forward.

A loop through a carried tensor whose ops all have one owner counts as one op: it waits for all that its ops wait
for, and stays in one piece, which keeps the tensor. No way leads out of a loop and back, so all this still holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shoal.errors import PlanError
from shoal.graph.liveness import boundary
from shoal.graph.loops import contracted, topological
from shoal.graph.values import Graph

Wait = tuple[str, frozenset[int]]  # owner, numbers of the pieces waited for
NEVER = math.inf  # the urgency of ops on which no other owner's depend


@dataclass(frozen=True)
class Piece:
    """Ops of one owner that run together, in topological order; `inputs` and `outputs` are tensors."""

    owner: str
    ops: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def pieces(graph: Graph, groups: Mapping[str, str]) -> tuple[Piece, ...]:
    """The pieces of `graph` under the owners `groups` (op name to owner), in an order in which they can run.

    Raises:
        PlanError: an op without an owner, or an owner for an op the graph does not have.
    """
    owners = _owners(graph, groups)
    intact = _intact(graph, owners)
    floating = _floating(graph, owners).difference(*intact)
    number = _numbered(graph, owners, floating, intact)
    rank = {piece: place for place, piece in enumerate(_ordered(graph, number))}
    for index in sorted(floating, reverse=True):
        readers = [reader for name in graph.ops[index].outputs for reader in graph.consumers[name]]
        number[index] = min((number[reader] for reader in readers), key=rank.__getitem__)
    members: dict[int, list[int]] = {piece: [] for piece in rank}
    for index in range(len(graph.ops)):
        members[number[index]].append(index)
    return tuple(_piece(graph, owners, members[piece]) for piece in rank)


def _owners(graph: Graph, groups: Mapping[str, str]) -> list[str]:
    unknown = [name for name in groups if name not in graph.position]
    if unknown:
        raise PlanError(f"the model has no op '{unknown[0]}'", where=graph.name)
    missing = [op.name for op in graph.ops if op.name not in groups]
    if missing:
        raise PlanError(f"op '{missing[0]}' is given to nobody", where=graph.name)
    return [groups[op.name] for op in graph.ops]


def _intact(graph: Graph, owners: list[str]) -> list[list[int]]:
    """Indices of the ops of each loop that has one owner."""
    found = [[graph.position[name] for name in loop] for loop in graph.loops]
    return [loop for loop in found if len({owners[index] for index in loop}) == 1]


def _floating(graph: Graph, owners: list[str]) -> set[int]:
    """Indices of the ops that need nothing of the item and no other owner, and that only their own owner reads."""
    carried = {each.input for each in graph.carried}
    found: set[int] = set()
    for index, op in enumerate(graph.ops):
        readers = {owners[reader] for name in op.outputs for reader in graph.consumers[name]}
        free = all(name in carried or graph.producer.get(name) in found for name in op.inputs)
        if free and readers == {owners[index]} and graph.finals.isdisjoint(op.outputs):
            found.add(index)
    return found


def _numbered(
    graph: Graph, owners: list[str], floating: set[int], intact: Sequence[Sequence[int]]
) -> dict[int, int]:
    """Op index to the number of its piece, floating ops left out; of pieces free to go the least goes first."""
    nodes = contracted(graph, intact)
    urgency = _urgency(graph, owners, nodes)
    waits: dict[int, frozenset[int]] = {}
    numbers: dict[Wait, dict[float, int]] = {}  # by urgency
    number: dict[int, int] = {}
    for node in nodes:
        if node[0] in floating:
            continue
        wait: set[int] = set()
        for source in (graph.producer.get(name) for index in node for name in graph.ops[index].inputs):
            if source is None or source in floating or source in node:
                continue
            wait |= waits[source] if owners[source] == owners[node[0]] else {number[source]}
        alike = numbers.setdefault((owners[node[0]], frozenset(wait)), {})
        fresh = sum(len(each) for each in numbers.values())
        for index in node:
            waits[index] = frozenset(wait)
            number[index] = alike.setdefault(urgency[index], fresh)
    return _joined(graph, number, numbers.values())


def _urgency(graph: Graph, owners: list[str], nodes: Sequence[Sequence[int]]) -> dict[int, float]:
    """Of each op, the heavy ops before the first tensor that another owner waits for and that depends on it."""
    depth: dict[int, int] = {}
    for node in nodes:
        sources = {graph.producer.get(name) for index in node for name in graph.ops[index].inputs}
        before = max((depth[source] for source in sources if source in depth), default=0)
        depth |= dict.fromkeys(node, before + any(graph.ops[index].macs > 0 for index in node))
    urgency: dict[int, float] = {}
    for node in reversed(nodes):
        outputs = [name for index in node for name in graph.ops[index].outputs]
        readers = {reader for name in outputs for reader in graph.consumers[name]}.difference(node)
        near = [urgency[reader] for reader in readers if owners[reader] == owners[node[0]]]
        far = [depth[node[0]]] if len(near) < len(readers) else []
        urgency |= dict.fromkeys(node, min((*near, *far), default=NEVER))
    return urgency


def _joined(graph: Graph, number: Mapping[int, int], alike: Iterable[Mapping[float, int]]) -> dict[int, int]:
    """Pieces numbered anew, the urgent of those that wait for the same before the others.

    Of these, what no other owner needs goes along with the last, unless there is heavy work in it.
    """
    heavy = {place for index, place in number.items() if graph.ops[index].macs > 0}
    fresh: dict[int, int] = {}
    for pieces_of in sorted(alike, key=lambda each: min(each.values())):
        for urgent in sorted(pieces_of):
            place = pieces_of[urgent]
            light = urgent == NEVER and len(pieces_of) > 1 and place not in heavy
            fresh[place] = len(fresh) - 1 if light else len(fresh)
    return {index: fresh[place] for index, place in number.items()}


def _ordered(graph: Graph, number: dict[int, int]) -> list[int]:
    """The pieces' numbers in an order in which they can run, by first op among those free to go."""
    arrows: set[tuple[int, int]] = set()
    for index, piece in number.items():
        sources = [graph.producer.get(name) for name in graph.ops[index].inputs]
        arrows |= {(number[s], piece) for s in sources if s is not None and number.get(s, piece) != piece}
    readers: dict[int, list[int]] = {piece: [] for piece in number.values()}
    missing = dict.fromkeys(readers, 0)
    for source, piece in arrows:
        readers[source].append(piece)
        missing[piece] += 1
    return topological(readers, missing)


def _piece(graph: Graph, owners: list[str], indices: list[int]) -> Piece:
    ops = tuple(graph.ops[index].name for index in indices)
    return Piece(owners[indices[0]], ops, *boundary(graph, ops))

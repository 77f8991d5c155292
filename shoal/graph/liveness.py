"""Which tensors cross a set of ops, and how many bytes are alive while the set runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shoal.graph.values import Graph


def boundary(graph: Graph, ops: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tensors the set `ops` reads from outside, and those it makes that are needed outside.

    What the graph is given counts as outside, its finals as needed there. Any set will do, gaps included. Inputs stand
    in the order of their first reader, outputs in the order they are made.
    """
    inside = sorted(graph.position[name] for name in ops)
    members = set(inside)
    made = [name for index in inside for name in graph.ops[index].outputs]
    own = set(made)
    read = dict.fromkeys(name for index in inside for name in graph.ops[index].inputs if name not in own)
    needed = [name for name in made if name in graph.finals or not members.issuperset(graph.consumers[name])]
    return tuple(read), tuple(needed)


def peak_live_bytes(graph: Graph, ops: Sequence[str]) -> int:
    """The most activation bytes alive at once while `ops` run in the given order; weights and states are apart.

    Everything read from outside is there from the start and goes after its last reader; what is needed
    outside stays to the end; an op's inputs and outputs are alive together. A carried tensor that `ops` themselves
    make anew is a state, which is there between items too and counted where those are.
    """
    inputs, outputs = boundary(graph, ops)
    states = {each.input for each in graph.carried if each.output in outputs}
    steps = [graph.ops[graph.position[name]] for name in ops]
    last = {name: step for step, op in enumerate(steps) for name in op.inputs}
    last.update(dict.fromkeys(outputs, len(steps)))
    alive = sum(graph.tensors[name].bytes for name in inputs if name not in states)
    peak = alive
    for step, op in enumerate(steps):
        alive += op.written_bytes
        peak = max(peak, alive)
        done = [name for name in (*op.inputs, *op.outputs) if last.get(name, step) == step and name not in states]
        alive -= sum(graph.tensors[name].bytes for name in done)
    return peak

"""Carried tensors in a Program: a state where one segment takes and leaves them, else an edge from item to item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shoal.errors import PlanError
from shoal.graph import Carried, Graph, named
from shoal.plan.values import Replica
from shoal.program import Edge, Segment, State, TensorSpec


def check_replicas(graph: Graph, replicas: Sequence[Replica]) -> None:
    """Refuse several replicas of a graph whose items depend on one another.

    Raises:
        PlanError: naming what is carried.
    """
    if graph.carried and len(replicas) > 1:
        names = ", ".join(f"{each.input}={each.output}" for each in graph.carried)
        raise PlanError("replicas would each carry a state of their own", had=names, needed="one replica")


def with_states(segments: Sequence[Segment], states: Sequence[State]) -> list[Segment]:
    """`segments` with the names of the states that each keeps."""
    found = []
    for segment in segments:
        own = [state for state in states if _keeps(segment, state.reads, state.writes)]
        found.append(replace(segment, states=tuple(state.name for state in own)) if own else segment)
    return found


def states_of(graph: Graph, segments: Sequence[Segment], prefix: str) -> list[State]:
    """A state for each carried tensor that one segment both reads and makes; it stays on its unit."""
    return [
        State(f"{prefix}{each.input}", segment.unit, each.scope, _spec(graph, each), each.input, each.output,
              "place" if each.rows else "replace", initial=each.initial, rows=each.rows)
        for each in graph.carried
        for segment in segments
        if _keeps(segment, each.input, each.output)
    ]  # fmt: skip


def edges_of(graph: Graph, segments: Sequence[Segment], window: int, prefix: str) -> list[Edge]:
    """A previous edge for each carried tensor and unit with a segment that reads it and does not keep it.

    Its buffer holds one message more than the window: that of the item before the oldest one in flight.
    """
    found: dict[str, Edge] = {}
    for each in graph.carried:
        (source,) = (segment.unit for segment in segments if each.output in segment.outputs)
        for segment in segments:
            if each.input in segment.inputs and not _keeps(segment, each.input, each.output):
                name = f"{prefix}{each.output}>{each.input}>{segment.unit}"
                found[name] = Edge(
                    name, source, segment.unit, each.output, each.input, _spec(graph, each), window + 1,
                    takes="previous", initial=each.initial, scope=each.scope,
                )  # fmt: skip
    return list(found.values())


def _keeps(segment: Segment, given: str, made: str) -> bool:
    return given in segment.inputs and made in segment.outputs


def _spec(graph: Graph, each: Carried) -> TensorSpec:
    tensor = graph.tensors[each.input]
    return TensorSpec(tensor.dtype, named(tensor.shape, graph.open))

"""Plan to Program: each unit's ops become the largest segments that can run once their inputs are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shoal.errors import PlanError
from shoal.graph import Graph, Piece, named, peak_live_bytes, pieces
from shoal.plan import carry
from shoal.plan.turns import in_turn
from shoal.plan.values import Group, Plan, Replica
from shoal.program import CLIENT, Edge, Program, Route, Segment, Step, Task, TensorSpec, check


def lower(graph: Graph, plan: Plan) -> Program:
    """The Program that runs `plan`. Segments have no files yet: engines write those when the plan is deployed.

    Raises:
        PlanError: the plan does not cover the graph.
        ProgramError: the result could block.
    """
    return program_of(graph, plan.replicas, plan.window, plan.model.name)


def program_of(
    graph: Graph, replicas: Sequence[Replica], window: int, name: str, sizes: Mapping[str, int] | None = None
) -> Program:
    """The Program of `replicas` with `window` items in flight; `sizes`: the bounds of those that the graph leaves open."""
    carry.check_replicas(graph, replicas)
    segments = [_segments(graph, replica, _prefix(index)) for index, replica in enumerate(replicas)]
    states = [carry.states_of(graph, found, _prefix(index)) for index, found in enumerate(segments)]
    segments = [carry.with_states(found, kept) for found, kept in zip(segments, states, strict=True)]
    edges = [_edges(graph, found, window, _prefix(index)) for index, found in enumerate(segments)]
    everything = [segment for found in segments for segment in found]
    crossing = {name for segment in everything for name in (*segment.inputs, *segment.outputs)}
    program = Program(
        name=name,
        units=_in_order(segment.unit for segment in everything),
        edges=tuple(edge for found in edges for edge in found),
        segments=tuple(everything),
        routes=tuple(
            _route(segments[index], edges[index], replica.share) for index, replica in enumerate(replicas)
        ),
        window=window,
        tensors={name: _spec(graph, name) for name in sorted(crossing)},
        states=tuple(state for kept in states for state in kept),
        sizes=dict(sizes or {}),
    )
    check(program)
    return program


def _prefix(replica: int) -> str:
    return f"r{replica}." if replica else ""


def _spec(graph: Graph, tensor: str) -> TensorSpec:
    return TensorSpec(graph.tensors[tensor].dtype, named(graph.tensors[tensor].shape, graph.open))


def _segments(graph: Graph, replica: Replica, prefix: str) -> list[Segment]:
    """The replica's segments, in an order in which they can run."""
    owners = _owners(graph, replica)
    found = in_turn(pieces(graph, {op: str(index) for op, index in owners.items()}), replica.groups)
    return [
        _segment(graph, replica.groups[int(piece.owner)], piece, f"{prefix}s{number}")
        for number, piece in enumerate(found)
    ]


def _owners(graph: Graph, replica: Replica) -> Mapping[str, int]:
    """Op → index of its group, each op once."""
    owners: dict[str, int] = {}
    for index, group in enumerate(replica.groups):
        for op in group.ops:
            if op in owners:
                raise PlanError(
                    f"op '{op}' is mapped twice", had=f"{replica.groups[owners[op]].unit} and {group.unit}"
                )
            owners[op] = index
    missing = [op.name for op in graph.ops if op.name not in owners]
    unknown = sorted(set(owners) - set(graph.position))
    if missing or unknown:
        facts = [f"not mapped: {', '.join(missing)}"] * bool(missing)
        facts += [f"not in the model: {', '.join(unknown)}"] * bool(unknown)
        raise PlanError("the mapping does not fit the model", had="; ".join(facts))
    return owners


def _segment(graph: Graph, group: Group, piece: Piece, name: str) -> Segment:
    weights = {weight for op in piece.ops for weight in graph.ops[graph.position[op]].weights}
    return Segment(
        name=name,
        unit=group.unit,
        inputs=piece.inputs,
        outputs=piece.outputs,
        engine=group.engine,
        format=group.format,
        operating_point=group.operating_point,
        weights_bytes=sum(graph.weights[weight].bytes for weight in weights),
        live_bytes=peak_live_bytes(graph, piece.ops),
        ops=piece.ops,
    )


def _edges(graph: Graph, segments: Sequence[Segment], window: int, prefix: str) -> list[Edge]:
    """One edge for each tensor and each other party that reads it, and those that carry a tensor over."""
    carried = {each.input for each in graph.carried}
    maker = {name: segment.unit for segment in segments for name in segment.outputs}
    readers = [(name, segment.unit) for segment in segments for name in segment.inputs if name not in carried]
    found: dict[tuple[str, str], Edge] = {}
    for tensor, target in (*readers, *((name, CLIENT) for name in graph.outputs)):
        source = maker.get(tensor, CLIENT)
        if source == target == CLIENT:
            raise PlanError(f"the model's output '{tensor}' is one of its inputs: there is nothing to run")
        if source != target and (tensor, target) not in found:
            name = f"{prefix}{tensor}>{target}"
            found[tensor, target] = Edge(name, source, target, tensor, tensor, _spec(graph, tensor), window)
    return [*found.values(), *carry.edges_of(graph, segments, window, prefix)]


def _route(segments: Sequence[Segment], edges: Sequence[Edge], share: float) -> Route:
    return Route(
        entry="main",
        inputs=tuple(edge.name for edge in edges if edge.source == CLIENT),
        outputs=tuple(edge.name for edge in edges if edge.target == CLIENT),
        tasks=tuple(
            Task(unit, _steps([segment for segment in segments if segment.unit == unit], edges, unit))
            for unit in _in_order(segment.unit for segment in segments)
        ),
        share=share,
    )


def _steps(segments: Sequence[Segment], edges: Sequence[Edge], unit: str) -> tuple[Step, ...]:
    """Receive what a segment reads, run it, send at once what others wait for."""
    incoming = {edge.delivers: edge for edge in edges if edge.target == unit}
    outgoing = [edge for edge in edges if edge.source == unit]
    steps: list[Step] = []
    for segment in segments:
        steps += [Step("recv", incoming.pop(name).name) for name in segment.inputs if name in incoming]
        steps.append(Step("run", segment.name))
        steps += [Step("send", edge.name) for edge in outgoing if edge.tensor in segment.outputs]
    return tuple(steps)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

"""Small Programs made from a list of segments: who runs what, reading what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoal.program import CLIENT, Edge, Hop, Pace, Program, Route, Segment, Step, Task, TensorSpec

INPUT = "x"


@dataclass(frozen=True)
class Piece:
    """One segment: it gives a value of its own name."""

    name: str
    unit: str
    reads: tuple[str, ...] = (INPUT,)
    gate: str = ""  # "go" or "stop": what its gate always says

    @property
    def engine(self) -> str:
        return "null:gate=false" if self.gate == "stop" else "null"


def program(pieces: Sequence[Piece], window: int = 4, floats: int = 4) -> Program:
    """The Program of `pieces`, each of which follows those that it reads; what nobody reads is an answer.

    What no piece gives comes from the client.

    Every value has `floats` float32, so 4 × `floats` bytes. The edge that brings `v` to unit `u` is "v>u".
    """
    units = tuple(dict.fromkeys(piece.unit for piece in pieces))
    read = {name for piece in pieces for name in piece.reads}
    maker = {**dict.fromkeys(sorted(read), CLIENT), **{piece.name: piece.unit for piece in pieces}}
    ways = [(name, piece.unit) for piece in pieces for name in piece.reads if maker[name] != piece.unit]
    ways += [(piece.name, CLIENT) for piece in pieces if piece.name not in read]
    spec = TensorSpec("float32", (floats,))
    edges = tuple(
        Edge(f"{name}>{target}", maker[name], target, name, name, spec, window)
        for name, target in dict.fromkeys(ways)
    )
    return Program(
        name="test",
        units=units,
        edges=edges,
        segments=tuple(_segment(piece) for piece in pieces),
        routes=(Route(
            "main",
            tuple(edge.name for edge in edges if edge.source == CLIENT),
            tuple(edge.name for edge in edges if edge.target == CLIENT),
            tuple(Task(unit, _steps([piece for piece in pieces if piece.unit == unit], edges)) for unit in units),
        ),),
        window=window,
        tensors={**dict.fromkeys(maker, spec), **{f"{name}?": TensorSpec("bool", (1,)) for name in maker}},
    )  # fmt: skip


def _segment(piece: Piece) -> Segment:
    gate = f"{piece.name}?" if piece.gate else None
    outputs = (piece.name, gate) if gate else (piece.name,)
    return Segment(piece.name, piece.unit, piece.reads, outputs, piece.engine, gate=gate)


def _steps(pieces: Sequence[Piece], edges: Sequence[Edge]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for piece in pieces:
        incoming = [edge for edge in edges if edge.target == piece.unit and edge.tensor in piece.reads]
        steps += [step for edge in incoming if (step := Step("recv", edge.name)) not in steps]
        steps.append(Step("run", piece.name))
        steps += [
            Step("send", edge.name) for edge in edges if edge.source == piece.unit and edge.tensor == piece.name
        ]
    return tuple(steps)


def chain(*units: str, window: int = 4, floats: int = 4) -> Program:
    """s0 on the first unit, s1 on the second, …"""
    pieces = [
        Piece(f"s{number}", unit, (f"s{number - 1}" if number else INPUT,)) for number, unit in enumerate(units)
    ]
    return program(pieces, window, floats)


def paced(program: Program, seconds: Mapping[str, float], bytes_per_s: float = 0.0, latency_s: float = 0.0) -> Pace:
    """`seconds` for the segments; one link for each pair of parties and direction, none if `bytes_per_s` is 0."""
    hops = {
        edge.name: (Hop(f"{edge.source}>{edge.target}", bytes_per_s, latency_s),)
        for edge in program.edges
        if bytes_per_s
    }
    return Pace(seconds, hops)

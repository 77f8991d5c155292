"""Bytes a unit needs: the engine's runtime, the weights, the live activations, the buffers and the states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shoal.engines import engine_name
from shoal.graph import Graph, peak_live_bytes
from shoal.program import Program
from shoal.record import Estimate

MIB = 1 << 20

# Measured: resident size of a worker that has loaded a segment of one small op and run it.
RUNTIME_BYTES: Mapping[str, int] = {
    "onnxruntime": 61 * MIB,  # of which Python, numpy and shoal are 33
    "native": 61 * MIB,  # onnxruntime and kernels of a few hundred KiB
    "ncnn": 40 * MIB,
    "reference": 60 * MIB,
    "null": 34 * MIB,
    "simulated": 0,  # what stands beside the machine's own memory is not its
}
WEIGHTS_FACTOR: Mapping[str, float] = {
    "onnxruntime": 1.0,  # optimised segments map their weights from the file, once
    "native": 1.0,  # codes are mapped from the file
    "ncnn": 2.1,  # kernels of 3 × 3 are kept transformed too; measured 1.3 ZFNet, 1.6 VGG-19, 2.1 ResNet-50
    "null": 0.0,
    "simulated": 1.0,
}
OTHER_RUNTIME_BYTES, OTHER_WEIGHTS_FACTOR = 60 * MIB, 2.0  # an engine nobody measured: on the safe side


@dataclass(frozen=True)
class Footprint:
    """The memory of one segment on a unit of its own."""

    runtime_bytes: int  # once for a worker, however many segments it holds
    weights_bytes: int  # as the engine keeps them
    live_bytes: int  # the most activations alive at once

    @property
    def resident_bytes(self) -> int:
        """Loaded and waiting."""
        return self.runtime_bytes + self.weights_bytes

    @property
    def peak_bytes(self) -> int:
        """While it runs."""
        return self.resident_bytes + self.live_bytes

    @property
    def breakdown(self) -> dict[str, float]:
        """The three parts, as an Estimate's breakdown has them."""
        return {
            "runtime_bytes": float(self.runtime_bytes),
            "weights_bytes": float(self.weights_bytes),
            "live_bytes": float(self.live_bytes),
        }


def runtime_bytes(engine: str) -> int:
    """Resident bytes of a worker with `engine` loaded and no segment."""
    return RUNTIME_BYTES.get(engine_name(engine), OTHER_RUNTIME_BYTES)


def weights_factor(engine: str) -> float:
    """Resident bytes of a loaded weight over its stored bytes."""
    return WEIGHTS_FACTOR.get(engine_name(engine), OTHER_WEIGHTS_FACTOR)


def footprint(graph: Graph, ops: Iterable[str], engine: str) -> Footprint:
    """The memory of the segment made of `ops`; weights read by several ops count once."""
    names = sorted(ops, key=graph.position.__getitem__)
    weights = {weight for name in names for weight in graph.ops[graph.position[name]].weights}
    stored_bytes = sum(graph.weights[weight].bytes for weight in weights)
    kept_bytes = round(stored_bytes * weights_factor(engine))
    return Footprint(runtime_bytes(engine), kept_bytes, peak_live_bytes(graph, names))


def buffers_bytes(program: Program, unit: str) -> int:
    """What the edges that begin or end at `unit` hold there: a whole buffer each, at the bound of its tensor."""
    return sum(
        edge.buffer_items * edge.spec.bytes(program.sizes)
        for edge in program.edges
        for end in {edge.source, edge.target}
        if end == unit
    )


def states_bytes(program: Program, unit: str, sessions: int = 1) -> int:
    """What outlives an item on `unit`, at its bound: states, and what previous edges that end there hold.

    Once for the stream, for each of the `sessions`, or for each item of the window, as the scope says.
    """
    times = {"stream": 1, "session": sessions, "item": program.window}
    kept = [(state.scope, state.spec) for state in program.states if state.unit == unit]
    kept += [(edge.scope, edge.spec) for edge in program.edges if edge.target == unit and edge.takes == "previous"]
    return sum(times[scope] * spec.bytes(program.sizes) for scope, spec in kept)


def unit_bytes(
    program: Program, unit: str, estimates: Mapping[str, Estimate], sessions: int = 1
) -> tuple[int, int]:
    """Resident and peak bytes of the worker of `unit`.

    The runtime counts once, segments add up, only one of them runs at a time, and buffers count always.

    Args:
        program: the whole program.
        unit: "device/unit".
        estimates: by segment, at least those of this unit; each includes its runtime.
        sessions: how many there are at once.
    """
    own = [(segment.engine, estimates[segment.name]) for segment in program.segments if segment.unit == unit]
    held = buffers_bytes(program, unit) + states_bytes(program, unit, sessions)
    held += sum(runtime_bytes(engine) for engine in {engine for engine, _ in own})
    held += sum(estimate.resident_bytes - runtime_bytes(engine) for engine, estimate in own)
    live = max((estimate.peak_bytes - estimate.resident_bytes for _, estimate in own), default=0)
    return held, held + live

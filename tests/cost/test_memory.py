"""Bytes by hand."""

from __future__ import annotations

from dataclasses import replace

from shoal.cost import buffers_bytes, footprint, runtime_bytes, states_bytes, unit_bytes, weights_factor
from shoal.graph import Graph
from shoal.program import Program, State
from shoal.record import Estimate


def test_a_segment_keeps_runtime_and_weights_and_needs_live_tensors_on_top(graph: Graph) -> None:
    need = footprint(graph, ("h", "r", "y"), "onnxruntime")
    assert need.weights_bytes == 4 * (8 * 16 + 16 * 4)
    assert need.live_bytes == 4 * (16 + 16)  # h and r at once
    assert need.resident_bytes == runtime_bytes("onnxruntime") + need.weights_bytes
    assert need.peak_bytes == need.resident_bytes + need.live_bytes


def test_an_engine_may_keep_more_than_the_weights(graph: Graph) -> None:
    assert footprint(graph, ("h",), "ncnn").weights_bytes == round(512 * weights_factor("ncnn"))


def test_both_ends_of_an_edge_hold_its_whole_buffer(program: Program) -> None:
    assert buffers_bytes(program, "a/cpu") == 3 * (16 + 40)
    assert buffers_bytes(program, "b/cpu") == 3 * (40 + 8)


def test_a_unit_has_one_runtime_and_one_segment_running(program: Program) -> None:
    runtime = runtime_bytes("onnxruntime")
    estimates = {
        "first": Estimate(1.0, 1.0, runtime + 100, runtime + 150, "predicted"),
        "second": Estimate(1.0, 1.0, runtime + 7, runtime + 8, "predicted"),
    }
    held = runtime + 100 + 3 * (16 + 40)
    assert unit_bytes(program, "a/cpu", estimates) == (held, held + 50)


def test_what_outlives_an_item_counts_for_each_session(program: Program) -> None:
    edge = next(edge for edge in program.edges if (edge.source, edge.target) == ("a/cpu", "b/cpu"))
    back = replace(edge, name="back", takes="previous", initial=0.0)
    states = (
        State("s", "b/cpu", "session", edge.spec, "i", "o"),
        State("t", "b/cpu", "stream", edge.spec, "i", "o"),
    )
    kept = replace(program, states=states)
    size = edge.spec.bytes({})
    assert states_bytes(kept, "b/cpu") == 2 * size
    assert states_bytes(kept, "b/cpu", sessions=5) == 6 * size
    assert states_bytes(kept, "a/cpu", sessions=5) == 0
    assert states_bytes(replace(program, edges=(*program.edges, back)), "b/cpu", sessions=5) == 5 * size
    of_stream = replace(back, scope="stream")
    assert states_bytes(replace(program, edges=(*program.edges, of_stream)), "b/cpu", sessions=5) == size

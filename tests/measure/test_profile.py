"""Real models through the profiler: everything is attributed, and to the op that does the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from shoal.errors import InputError
from shoal.graph import Graph, load, seeded
from shoal.measure import machine_id, op_subject, profile_ops
from shoal.measure.profile_ncnn import stretches
from shoal.record import Sample

Light = Callable[[str], Graph]


def seconds(samples: tuple[Sample, ...]) -> list[float]:
    return [sample.median_s for sample in samples]


@pytest.mark.parametrize("name", ["squeezenet", "resnet50"])
def test_every_op_has_a_sample_and_work_costs_what_it_weighs(light: Light, name: str) -> None:
    graph = light(name)
    samples = profile_ops(graph, repeats=3)
    assert [sample.subject for sample in samples] == [op_subject(graph.identity, op.name) for op in graph.ops]
    assert {(sample.machine, sample.engine, sample.threads) for sample in samples} == {
        (machine_id(), "onnxruntime", 1)
    }
    assert all(sample.low_s <= sample.median_s <= sample.high_s for sample in samples)
    heavy_s = [each for op, each in zip(graph.ops, seconds(samples), strict=True) if op.macs]
    assert min(heavy_s) > 0
    assert sum(heavy_s) > 0.5 * sum(seconds(samples))
    fused = [each for op, each in zip(graph.ops, seconds(samples), strict=True) if op.kind == "BatchNormalization"]
    assert fused == [0.0] * len(fused)


def test_ncnn_is_timed_between_cuts(light: Light) -> None:
    pytest.importorskip("ncnn")
    graph = seeded(light("shufflenet"), 1)
    samples = profile_ops(graph, "ncnn", repeats=3)
    assert len(samples) == len(graph.ops)
    assert {sample.engine for sample in samples} == {"ncnn"}
    assert sum(seconds(samples)) > 0
    assert min(s for op, s in zip(graph.ops, seconds(samples), strict=True) if op.macs) > 0


def test_a_model_that_ncnn_cannot_take_is_kept_as_refused(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "whole numbers",
        [helper.make_tensor_value_info("x", TensorProto.INT64, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.INT64, (1, 4))],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    (sample,) = profile_ops(load(tmp_path / "m.onnx"), "ncnn", repeats=3)
    assert (sample.repeats, sample.median_s) == (0, 0.0)


def test_stretches_cover_every_op_once(light: Light) -> None:
    graph = light("squeezenet")
    parts = stretches(graph)
    assert [place for _, places in parts for place in places] == list(range(len(graph.ops)))
    assert all(graph.producer[tensor] <= places.stop - 1 for tensor, places in parts[:-1])


def test_an_engine_that_tells_nothing_is_refused(light: Light) -> None:
    with pytest.raises(InputError, match="'null' tells nothing"):
        profile_ops(light("squeezenet"), "null")

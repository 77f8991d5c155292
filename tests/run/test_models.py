"""The nine light models through real workers: undivided as shipped, and divided with weights that matter."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from examples.models import light
from shoal.graph import Graph, load
from shoal.plan import lower
from shoal.plan.written import with_files
from shoal.run import Result, Samples, Settings, execute
from tests.run import plans

QUICK = ("squeezenet", "shufflenet")
SMALL = (*QUICK, "inception_v1", "inception_v2")
BIG = tuple(name for name in light.NAMES if name not in SMALL)
OVER = ("memory", "shm", "tcp")
INPUTS = 3


def slow(names: tuple[str, ...]) -> list[object]:
    return [pytest.param(name, marks=(pytest.mark.slow, pytest.mark.timeout(600))) for name in names]


@lru_cache(maxsize=1)
def seeded(name: str) -> tuple[Graph, Samples]:
    """The model with random weights, and what plain onnxruntime answers to some inputs."""
    path = light.seeded(name)
    graph = load(path)
    source = np.random.default_rng(7)
    inputs = tuple(
        {key: source.standard_normal(graph.tensors[key].shape, np.float32) for key in graph.inputs}
        for _ in range(INPUTS)
    )
    return graph, Samples(inputs, tuple(plans.reference(path, each) for each in inputs))


def run(graph: Graph, samples: Samples, owners: list[int], over: str, items: int, window: int = 8) -> Result:
    plan = plans.plan_of(graph, owners, window)
    result = execute(plan, Settings(items=items, over=over), samples)
    assert result.failure == ""
    assert len(result.run.devices) == len(set(owners)) > 1
    assert result.run.outputs_match
    assert result.answers is not None
    assert sorted(result.answers) == list(range(items))
    for item, outputs in result.answers.items():
        plans.assert_equal(outputs, samples.expected[item % len(samples.expected)])
    return result


@pytest.mark.parametrize("name", [*QUICK, *slow((*SMALL[2:], *BIG))])
def test_shipped_outputs_come_back_from_one_device(name: str) -> None:
    inputs, wanted = light.expected(name)
    graph = load(light.light(name))
    plan = plans.plan_of(graph, plans.undivided(graph))
    result = execute(plan, Settings(items=2, compare=False), Samples((inputs,)))
    assert result.answers is not None
    for outputs in result.answers.values():
        for key, array in wanted.items():
            np.testing.assert_allclose(outputs[key], array, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("name", [*QUICK, *slow(SMALL[2:])])
def test_small_ones_divided_along_their_order(name: str, over: str) -> None:
    graph, samples = seeded(name)
    run(graph, samples, plans.contiguous(graph, 3), over, 50)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("name", [*QUICK, *slow(SMALL[2:])])
def test_small_ones_going_back_and_forth(name: str, over: str) -> None:
    graph, samples = seeded(name)
    result = run(graph, samples, plans.alternating(graph, 2), over, 50)
    segments = {span.name for span in result.run.spans if span.kind == "run"}
    assert len(segments) > 8  # A → B → A → B …


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("name", [*QUICK, *slow(SMALL[2:])])
def test_small_ones_with_branches_apart(name: str, over: str) -> None:
    graph, samples = seeded(name)
    run(graph, samples, plans.crossing(graph, 4), over, 50, window=12)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BIG)
def test_big_ones_divided(name: str) -> None:
    graph, samples = seeded(name)
    run(graph, samples, plans.contiguous(graph, 2), "shm", 4)
    run(graph, samples, plans.alternating(graph, 2), "tcp", 4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["densenet121", "resnet50"])
def test_big_ones_with_branches_apart(name: str) -> None:
    graph, samples = seeded(name)
    run(graph, samples, plans.crossing(graph, 3), "shm", 9)


@pytest.mark.parametrize("name", [*SMALL, *slow(BIG)])
def test_halves_hold_the_weights_once(name: str) -> None:
    """Two units with half the ops each: the weights add up, and are what the files hold (beside page padding)."""
    graph = load(light.seeded(name))
    program, folder = with_files(graph, lower(graph, plans.plan_of(graph, plans.contiguous(graph, 2))))
    assert sum(segment.weights_bytes for segment in program.segments) == graph.weights_bytes
    assert graph.weights_bytes == pytest.approx(stored_bytes(light.seeded(name)), rel=1e-3)
    for segment in program.segments:
        assert stored_bytes(folder / segment.files[0]) == segment.weights_bytes
        assert segment.weights_bytes < sum((folder / file).stat().st_size for file in segment.files)


def stored_bytes(model: Path) -> int:
    """Bytes of all initializers of an ONNX file."""
    tensors = onnx.load(model, load_external_data=False).graph.initializer
    sizes = (onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize for tensor in tensors)
    return sum(math.prod(tensor.dims) * size for tensor, size in zip(tensors, sizes, strict=True))

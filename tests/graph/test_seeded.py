from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from shoal.graph import array, load, save, seeded
from tests.graph.models import floats, light


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "resnet50"])
def test_answers_are_finite_unequal_and_not_saturated(name: str, tmp_path: Path) -> None:
    graph = seeded(load(light(name)), 0)
    save(graph, tmp_path / "seeded.onnx")
    session = ort.InferenceSession(str(tmp_path / "seeded.onnx"))
    (answer,) = session.run(None, {graph.inputs[0]: floats(1, 3, 224, 224)})
    assert np.isfinite(answer).all()
    assert len(np.unique(answer)) > 500
    if graph.ops[-1].kind == "Softmax":
        assert answer.max() < 0.2


def test_the_seed_decides() -> None:
    plain = load(light("squeezenet"))
    first, again, other = seeded(plain, 1), seeded(plain, 1), seeded(plain, 2)
    np.testing.assert_array_equal(array(first, "conv10_w_0"), array(again, "conv10_w_0"))
    assert not np.array_equal(array(first, "conv10_w_0"), array(other, "conv10_w_0"))
    assert first.sha256 == again.sha256
    assert len({plain.sha256, first.sha256, other.sha256}) == 3
    assert first.ops == plain.ops
    assert (array(plain, "conv10_w_0") == np.float32(0.02)).all()


def test_scales() -> None:
    graph = seeded(load(light("resnet50")), 0)
    kernel = array(graph, "gpu_0/res2_0_branch2b_w_0")
    assert kernel.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    norm = next(op for op in graph.ops if op.kind == "BatchNormalization")
    scale, shift, mean, variance = (array(graph, name) for name in norm.weights)
    for values, centre in ((scale, 1), (shift, 0), (mean, 0), (variance, 1)):
        assert np.abs(values.astype(np.float32) - centre).max() <= 0.1001
        assert values.std() > 0.01


def test_integers_stay() -> None:
    plain = load(light("shufflenet"))
    for name, weight in seeded(plain, 0).weights.items():
        if weight.dtype == "int64":
            np.testing.assert_array_equal(array(seeded(plain, 0), name), array(plain, name))
            break
    else:
        pytest.fail("no integer weight to look at")

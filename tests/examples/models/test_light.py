"""The shipped light networks, and the same ones with random weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from examples.models import light
from shoal.errors import InputError

QUICK = ("shufflenet", "squeezenet")
SLOW = tuple(pytest.param(name, marks=pytest.mark.slow) for name in light.NAMES if name not in QUICK)


def outputs(model: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the shipped files make onnxruntime advise against weights as inputs
    found: list[np.ndarray] = onnxruntime.InferenceSession(model, options).run(None, inputs)
    return found


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_shipped_outputs_come_back(name: str) -> None:
    inputs, wanted = light.expected(name)
    found = outputs(light.light(name), inputs)
    for array, reference in zip(found, wanted.values(), strict=True):
        np.testing.assert_allclose(array, reference, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_seeded_outputs_vary(name: str) -> None:
    inputs, _ = light.expected(name)
    (key, ramp), *_ = inputs.items()
    random = np.random.default_rng(1).standard_normal(ramp.shape, np.float32)
    model = light.seeded(name)
    one, other = (outputs(model, {key: image})[0].ravel() for image in (ramp, random))
    for array in (one, other):
        assert np.isfinite(array).all()
        assert array.std() > 0.2 * abs(array.mean())
        assert len(np.unique(array)) > 500  # of 1000
    if one.min() >= 0:  # a softmax
        assert max(one.max(), other.max()) < 0.5
    assert abs(one - other).max() > 0.01 * one.max()


def test_seeded_keeps_the_structure(tmp_path: Path) -> None:
    shipped = onnx.load(light.light("squeezenet")).graph
    made = onnx.load(light.seeded("squeezenet", folder=tmp_path)).graph
    kept = [node for node in shipped.node if node.op_type != "ConstantOfShape"]
    assert list(made.node) == kept
    assert [value.name for value in made.input] == ["data_0"]
    assert made.output == shipped.output


def test_seeds_tell_weights_apart_and_repeat(tmp_path: Path) -> None:
    def data(seed: int, folder: str) -> bytes:
        return light.seeded("squeezenet", seed, tmp_path / folder).with_name("weights.bin").read_bytes()

    assert data(0, "first") == data(0, "second")
    assert data(0, "first") != data(1, "first")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="vgg19"):
        light.light("vgg16")

"""Inputs where there is no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.compress import made
from shoal.compress.datafree import distilled, noise
from shoal.errors import InputError, ModelError
from shoal.graph import Graph, load
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write


def normalised(folder: Path) -> Graph:
    """A network that saw images of mean 2 and deviation 3."""
    source = np.random.default_rng(0)
    images = (2 + 3 * source.standard_normal((64, 3, 8, 8))).astype(np.float32)
    weights = {"w": floats(6, 3, 1, 1) / 2, "s": np.ones(6, np.float32), "t": np.zeros(6, np.float32)}
    seen = np.einsum("oihw,nixy->noxy", weights["w"], images)
    weights |= {"m": seen.mean(axis=(0, 2, 3)), "v": seen.var(axis=(0, 2, 3))}
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c s t m v", "n"), node("Relu", "n", "y")]
    return load(write(model(nodes, [info("x", (1, 3, 8, 8))], ["y"], weights), folder))


def test_noise_has_the_inputs_shape_and_type(tmp_path: Path) -> None:
    nodes = [node("Cast", "i", "f", to=1), node("Add", "x f", "y")]
    graph = load(write(model(nodes, [info("x", (1, 3)), info("i", (1, 3), 7)], ["y"]), tmp_path))
    one, two = noise(graph, 2)
    assert {name: (each.shape, str(each.dtype)) for name, each in one.items()} == {
        "x": ((1, 3), "float32"), "i": ((1, 3), "int64"),
    }  # fmt: skip
    assert (one["x"] != two["x"]).all()
    np.testing.assert_array_equal(one["x"], noise(graph, 2)[0]["x"])
    with pytest.raises(InputError, match="at least 1"):
        noise(graph, 0)


def test_without_normalisations_it_is_noise_and_says_so(tmp_path: Path) -> None:
    found = made(load(write(nets.mixed(), tmp_path)), 3)
    assert (found.how, len(found.samples)) == ("noise", 3)
    assert "no BatchNormalization" in found.warning


def test_distilled_images_look_like_what_the_network_saw(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    graph = normalised(tmp_path)
    found = made(graph, 16, steps=200)
    assert (found.how, found.warning, len(found.samples)) == ("distilled", "", 16)
    assert found.off is not None
    assert found.off[1] < 0.05 * found.off[0]
    images = np.concatenate([each["x"] for each in found.samples])
    plain = np.concatenate([each["x"] for each in noise(graph, 16)])
    assert abs(images.mean() - 2) < 0.7 < abs(plain.mean() - 2)
    assert abs(images.std() - 3) < abs(plain.std() - 3)


def test_an_op_without_a_gradient_gives_noise(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    weights = {name: np.abs(floats(3, seed=seed)) + 0.1 for seed, name in enumerate("stmv")}
    nodes = [node("Elu", "x", "e"), node("BatchNormalization", "e s t m v", "y")]
    graph = load(write(model(nodes, [info("x", (1, 3, 4, 4))], ["y"], weights), tmp_path))
    with pytest.raises(ModelError, match="'Elu' has no gradient here"):
        distilled(graph, 2)
    assert "'Elu'" in made(graph, 2).warning

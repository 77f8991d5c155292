"""The penalty on trees: what it is at the end of β's growth, and that it makes trees shorter."""

from __future__ import annotations

import pytest

from shoal import catalog
from shoal.compress.tree import channel_tree
from shoal.compress.tree_penalty import TreePenalty, sign_rows, start_alike
from shoal.errors import InputError
from shoal.train import Recipe, binary_layers, built, fit
from tests.train.nets import NETS, pictures, trained

torch = pytest.importorskip("torch")


def ratios(model: object) -> list[float]:
    return [channel_tree(sign_rows(layer)).ratio for layer in binary_layers(model).values()]  # type: ignore[arg-type]


def test_with_a_steep_slope_it_is_the_weight_of_the_trees() -> None:
    model = trained("residual_cnn", "bnn", pictures(), steps=1)
    layers = binary_layers(model).values()
    trees = [channel_tree(sign_rows(layer)) for layer in layers]
    found = TreePenalty(2.0, 1, first=1e6, last=1e6)(model, 0)
    assert found is not None
    expected = 2 * sum(tree.weight / tree.dense_bit_ops for tree in trees)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-3)


def test_it_makes_trees_shorter() -> None:
    data, steps = pictures(), 60
    found = []
    for strength in (0.0, 3.0):
        model = built(
            catalog.make("train/nets", NETS["residual_cnn"]), data.shape, catalog.make("train/binary", "bnn"), 0
        )
        fit(model, data, Recipe(steps=steps, batch=16, rate=1e-2), penalty=TreePenalty(strength, steps, every=10))
        found.append(sum(ratios(model)))
    assert found[1] < 0.8 * found[0]


def test_channels_that_begin_alike() -> None:
    model = trained("residual_cnn", "bnn", pictures(), steps=1)
    start_alike(model, 0.01)
    assert max(ratios(model)) < 0.15
    start_alike(model, 0.0)
    assert max(ratios(model)) == pytest.approx(1 / 12)


def test_what_makes_no_sense() -> None:
    model = trained("residual_cnn", "bnn", pictures(), steps=1)
    with pytest.raises(InputError):
        TreePenalty(-1.0, 1)
    with pytest.raises(InputError):
        start_alike(model, 1.5)
    with pytest.raises(InputError, match="no binary layer"):
        TreePenalty(1.0, 1)(torch.nn.Linear(2, 2), 0)

"""Trained nets from packed words: the same sums, the same outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.train import arrays, binary_layers, packed, packed_layer, predicted, restored
from tests.train.nets import ALGORITHMS, NETS, pictures, trained

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_net_and_algorithm_gives_the_very_same(net: str, algorithm: str) -> None:
    data = pictures(32)
    model = trained(net, algorithm, data, steps=4)
    np.testing.assert_array_equal(predicted(packed(model), data.x), predicted(model, data.x))


@pytest.mark.parametrize("algorithm", ["bnn", "reactnet", "xnorpp"])
def test_every_layers_sums_are_those_of_the_training_graph(algorithm: str) -> None:
    data = pictures(16)
    model = trained("residual_cnn", algorithm, data)
    checked = []

    def compare(layer: Any, given: tuple[Any, ...]) -> None:
        bits = (layer.algorithm.inputs(layer, given[0]) > 0).numpy()
        checked.append(np.array_equal(packed_layer(layer).sums(bits), layer.sums(given[0]).numpy()))

    for layer in binary_layers(model).values():
        layer.register_forward_pre_hook(compare)
    predicted(model, data.x)
    assert len(checked) == 4
    assert all(checked)


def test_batch_norm_and_sign_become_thresholds_where_no_item_has_its_own_scale() -> None:
    data = pictures(16)
    folded = [
        sum(name.endswith(".least") for name in arrays(packed(trained("mlp_mixer", algorithm, data))))
        for algorithm in ("bnn", "xnorpp", "xnor")
    ]
    assert folded == [2, 2, 0]


def test_scales_that_turn_the_sign_round() -> None:
    """A negative slope of BatchNorm makes the sign fall with the sums."""
    data = pictures(16)
    model = trained("residual_cnn", "dorefa", data)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("first.norm.weight"):
                value[::2] *= -1
                value[1] = 0
    np.testing.assert_array_equal(predicted(packed(model), data.x), predicted(model, data.x))


def test_it_takes_less_room() -> None:
    model = trained("residual_cnn", "bnn", pictures(16))
    whole, small = (sum(each.nbytes for each in arrays(net).values()) for net in (model, packed(model)))
    assert small < whole / 4


@pytest.mark.parametrize(
    ("net", "algorithm"),
    [
        ("residual_cnn", "bnn"),
        ("mlp_mixer", "reactnet"),
        ("tiny_transformer", "xnor"),
        ("residual_cnn", "xnorpp"),
        ("residual_cnn", "fda"),
    ],
)
def test_a_file_gives_the_packed_net_back(net: str, algorithm: str, tmp_path: Path) -> None:
    data = pictures(16)
    small = packed(trained(net, algorithm, data))
    np.savez(tmp_path / "net.npz", **arrays(small))
    with np.load(tmp_path / "net.npz", allow_pickle=False) as found:
        again = restored(trained(net, algorithm, data, steps=1, seed=5), dict(found))
    np.testing.assert_array_equal(predicted(again, data.x), predicted(small, data.x))


def test_another_nets_arrays_are_refused() -> None:
    data = pictures(16)
    found = arrays(packed(trained("residual_cnn", "bnn", data)))
    with pytest.raises(InputError, match="another network"):
        restored(trained("mlp_mixer", "bnn", data), found)
    with pytest.raises(InputError, match="another network"):
        restored(trained("residual_cnn", "bnn", data), found | {"more": np.zeros(1)})
    name = next(each for each in found if each.endswith("words"))
    with pytest.raises(InputError, match="another network"):
        restored(trained("residual_cnn", "bnn", data), found | {name: found[name][:1]})


def test_a_net_in_training_is_refused() -> None:
    model = trained("residual_cnn", "bnn", pictures(16))
    with pytest.raises(InputError, match="still being trained"):
        packed(model.train())

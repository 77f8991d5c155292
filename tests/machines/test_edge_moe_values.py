"""A vision transformer with experts in fixed point: against floats, and with its ideas left out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import erf, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.machines import Fixed
from shoal.machines.edge_moe import FixedVit, Shape

SHAPE = Shape(patches=8, patch_features=16, width=16, heads=2, layers=4, hidden=32, experts=4, expert_hidden=16)
Floats = NDArray[np.float64]


@cache
def weights() -> dict[str, Floats]:
    source = np.random.default_rng(1)
    width, found = SHAPE.width, {}

    def layer(name: str, rows: int, columns: int, *front: int) -> None:
        found[f"{name}.weight"] = source.normal(0, columns**-0.5, (*front, rows, columns))
        found[f"{name}.bias"] = source.normal(0, 0.1, (*front, rows))

    def norm(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (
            source.uniform(0.5, 1.5, width),
            source.normal(0, 0.1, width),
        )

    layer("embed", width, SHAPE.patch_features)
    found["class_token"], found["position"] = source.normal(size=width), source.normal(size=(SHAPE.tokens, width))
    for name, experts in SHAPE.of_layers():
        front = (SHAPE.experts,) if experts else ()
        hidden = SHAPE.expert_hidden if experts else SHAPE.hidden
        layer(f"{name}.qkv", 3 * width, width)
        layer(f"{name}.project", width, width)
        layer(f"{name}.first", hidden, width, *front)
        layer(f"{name}.second", width, hidden, *front)
        norm(f"{name}.norm1")
        norm(f"{name}.norm2")
        found[f"{name}.gate"] = source.normal(0, 0.5, (2, SHAPE.experts, width))
    norm("norm")
    layer("heads.0", 10, width)
    layer("heads.1", 1, width)
    return found


@cache
def patches() -> Floats:
    return np.random.default_rng(2).normal(size=(3, SHAPE.patches, SHAPE.patch_features))


def test_its_outputs_are_those_of_floats() -> None:
    for task in (0, 1):
        found = FixedVit(SHAPE, weights()).run(patches(), task)
        np.testing.assert_allclose(found.outputs, np.stack([of_one(each, task) for each in patches()]), atol=5e-3)
        assert [each.shape for each in found.chosen] == [(3, SHAPE.tokens, SHAPE.chosen)] * 2


def test_the_order_of_attention_and_the_number_of_slots_change_the_last_bits_alone() -> None:
    model = FixedVit(SHAPE, weights())
    wanted = model.run(patches(), 0).outputs
    for other in (replace(model, order="rows"), replace(model, slots=1), replace(model, slots=7)):
        assert np.abs(other.run(patches(), 0).outputs - wanted).max() < 1e-4


def test_the_table_is_what_separates_it_from_an_exact_gelu() -> None:
    model = FixedVit(SHAPE, weights())
    off = np.abs(model.run(patches(), 0).outputs - replace(model, activation="exact").run(patches(), 0).outputs)
    assert 0 < off.max() < 5e-3


def test_images_do_not_see_each_other() -> None:
    model = FixedVit(SHAPE, weights())
    together = model.run(patches(), 1).outputs
    np.testing.assert_array_equal(
        together, np.concatenate([model.run(each[None], 1).outputs for each in patches()])
    )


def test_few_bits_are_worse_and_large_scores_saturate() -> None:
    wanted = np.stack([of_one(each, 0) for each in patches()])
    errors = [
        np.abs(FixedVit(SHAPE, weights(), Fixed(bits, 10)).run(patches(), 0).outputs - wanted).max()
        for bits in (32, 22, 16)
    ]
    assert errors[0] < errors[1] < errors[2]
    loud = weights() | {"blocks.0.qkv.weight": 60 * weights()["blocks.0.qkv.weight"]}
    saturated = FixedVit(SHAPE, loud).run(patches(), 0).outputs
    wrapped = FixedVit(SHAPE, loud, Fixed(32, 10, overflow="wrap")).run(patches(), 0).outputs
    assert np.abs(saturated - wrapped).max() > 0.1


def test_patches_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"needed \(…, 8, 16\), had \(3, 7, 16\)"):
        FixedVit(SHAPE, weights()).run(patches()[:, :7], 0)


def of_one(image: Floats, task: int) -> Floats:
    """The same network in float, token by token where there are experts; matrices rounded as the machine holds them."""
    held = {name: rounded(name, each) for name, each in weights().items()}
    x = np.vstack([held["class_token"], image @ held["embed.weight"].T + held["embed.bias"]]) + held["position"]
    for name, experts in SHAPE.of_layers():
        x = x + attention(held, name, normed(held, f"{name}.norm1", x))
        y = normed(held, f"{name}.norm2", x)
        x = x + (
            np.stack([mixed(held, name, token, task) for token in y]) if experts else perceptron(held, name, y, ...)
        )
    return normed(held, "norm", x[0]) @ held[f"heads.{task}.weight"].T + held[f"heads.{task}.bias"]


def rounded(name: str, values: Floats) -> Floats:
    whole = {"weight": 2, "gate": 2, "bias": 5}.get(name.rpartition(".")[2])
    return values if whole is None else Fixed(16, whole).holding(values).rounded(values)


def normed(held: dict[str, Floats], name: str, x: Floats) -> Floats:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * held[f"{name}.weight"] + held[f"{name}.bias"]


def attention(held: dict[str, Floats], name: str, x: Floats) -> Floats:
    query, key, value = np.moveaxis(
        (x @ held[f"{name}.qkv.weight"].T + held[f"{name}.qkv.bias"]).reshape(len(x), 3, SHAPE.heads, -1),
        (1, 2),
        (0, 1),
    )
    shares = softmax(query @ key.swapaxes(1, 2) / sqrt(SHAPE.head))
    made = (shares @ value).swapaxes(0, 1).reshape(x.shape)
    return made @ held[f"{name}.project.weight"].T + held[f"{name}.project.bias"]


def mixed(held: dict[str, Floats], name: str, token: Floats, task: int) -> Floats:
    shares = softmax(held[f"{name}.gate"][task] @ token)
    return sum(shares[each] * perceptron(held, name, token, each) for each in np.argsort(-shares)[: SHAPE.chosen])


def perceptron(held: dict[str, Floats], name: str, x: Floats, part: object) -> Floats:
    first, first_bias, second, second_bias = (
        held[f"{name}.{each}"][part]
        for each in ("first.weight", "first.bias", "second.weight", "second.bias")  # type: ignore[index]
    )
    hidden = x @ first.T + first_bias
    return hidden * 0.5 * (1 + np.vectorize(erf)(hidden / sqrt(2))) @ second.T + second_bias


def softmax(rows: Floats) -> Floats:
    shares = np.exp(rows - rows.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)

"""The eight algorithms: exact signs, gradients equal to their closed forms, scales, and what changes with training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal import catalog
from shoal.errors import InputError
from tests.train.nets import ALGORITHMS

torch = pytest.importorskip("torch")

from shoal.train.binary import _sign  # noqa: E402  # needs torch
from shoal.train.binary._layers import BinaryConv2d, BinaryLinear  # noqa: E402

F64 = NDArray[np.float64]
EDGES = (-1.5, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 1.5)
POINTS = np.concatenate([np.linspace(-2.2, 2.2, 89), np.array(EDGES)])


def make(name: str) -> Any:
    return catalog.make("train/binary", name)


def clipped(x: F64) -> F64:
    return np.where(np.abs(x) <= 1, 1.0, 0.0)


def polynomial(x: F64) -> F64:
    return np.where((x >= -1) & (x < 0), 2 + 2 * x, np.where((x >= 0) & (x < 1), 2 - 2 * x, 0.0))


def fourier(x: F64) -> F64:
    total = sum(np.cos((2 * i + 1) * 0.1 * x) for i in range(10))
    return np.where(np.abs(x) <= 1, 4 * 0.1 / np.pi * total, 0.0)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_signs_are_exact_and_that_of_zero_is_one(name: str) -> None:
    layer = BinaryLinear(make(name), 8, 3).eval()
    x = torch.tensor([EDGES], dtype=torch.float32)
    assert layer.algorithm.inputs(layer, x).tolist() == [[-1, -1, -1, 1, 1, 1, 1, 1]]
    assert set(layer.signs().unique().tolist()) <= {-1.0, 1.0}
    with torch.no_grad():
        layer.weight.zero_()
    assert (layer.signs() == 1).all()


@pytest.mark.parametrize(
    ("name", "weights", "inputs"),
    [
        ("bnn", clipped, clipped),
        ("xnor", clipped, clipped),
        ("dorefa", clipped, clipped),
        ("bireal", clipped, polynomial),
        ("xnorpp", clipped, clipped),
        ("reactnet", clipped, polynomial),
        ("recu", None, polynomial),
        ("fda", fourier, fourier),
    ],
)
def test_gradients_equal_their_closed_forms(
    name: str, weights: Callable[[F64], F64] | None, inputs: Callable[[F64], F64]
) -> None:
    layer = BinaryLinear(make(name), len(POINTS), 1).eval()
    for method, slope in ((layer.algorithm.weights, weights), (layer.algorithm.inputs, inputs)):
        if slope is None:
            continue
        x = torch.tensor(POINTS, dtype=torch.float64)[None].requires_grad_()
        factor = torch.linspace(1, 3, len(POINTS), dtype=torch.float64)
        (method(layer, x) * factor).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy()[0], slope(POINTS) * factor.numpy(), atol=1e-12)


def test_revived_weights_pass_gradients_inside_the_clamp_only() -> None:
    """Against standardising and clamping written out, where a straight sign is the identity."""
    algorithm, source = make("recu"), np.random.default_rng(0)
    layer = BinaryLinear(algorithm, 64, 2)
    w = torch.tensor(source.standard_normal((2, 64)), dtype=torch.float64, requires_grad=True)
    grad = torch.tensor(source.standard_normal((2, 64)), dtype=torch.float64)
    signs = algorithm.weights(layer, w)
    (signs * grad).sum().backward()
    assert w.grad is not None
    own = w.detach().clone().requires_grad_()
    centred = own - own.mean(dim=1, keepdim=True)
    standard = centred / (centred.std(dim=1, keepdim=True, unbiased=False) / (2 * math.sqrt(2)))
    most = -standard.detach().abs().mean(dim=1, keepdim=True) * math.log(2 - 2 * 0.85)
    inside = (standard.detach().abs() <= most).double()
    assert 0 < float(inside.mean()) < 1
    (standard * inside * grad).sum().backward()
    torch.testing.assert_close(w.grad, own.grad)
    assert torch.equal(signs.detach(), torch.where(standard >= 0, 1.0, -1.0).double())


def test_inputs_of_recu_are_divided_by_their_deviation_while_training() -> None:
    algorithm = make("recu")
    layer = BinaryLinear(algorithm, 4, 2)
    x = torch.tensor([[0.5, -3.0, 0.0, 2.0]], requires_grad=True)
    layer.train()
    trained = algorithm.inputs(layer, x)
    layer.eval()
    assert torch.equal(trained, algorithm.inputs(layer, x))
    trained.sum().backward()
    assert x.grad is not None
    assert float(x.grad[0, 3].abs()) > 0, "2 deviates by less than one deviation"


def test_quantile_and_noise_run_as_far_as_published() -> None:
    recu, fda = make("recu"), make("fda")
    assert recu.tau(0) == pytest.approx(0.85)
    assert recu.tau(1) == pytest.approx(0.99)
    assert [fda.terms(share) for share in (0, 0.5, 1)] == [10, 14, 19]
    assert fda.share(0) == pytest.approx(0.1)
    assert fda.share(1) == pytest.approx(0)


def test_noise_is_there_while_training_only() -> None:
    layer = BinaryConv2d(make("fda"), 4, 4)
    assert set(layer.signs().unique().tolist()) != {-1.0, 1.0}
    assert set(layer.eval().signs().unique().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_scales_are_outside_of_the_product(name: str) -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(make(name), 6, 4, places=(5, 5)).eval()
    x = torch.randn(3, 6, 5, 5)
    sums = layer.sums(x)
    assert torch.equal(sums, sums.round())
    assert (sums.abs() <= 54).all()
    assert ((sums - 54) % 2 == 0).all()
    w = layer.weight.detach()
    alpha = w.abs().mean(dim=(1, 2, 3)).view(-1, 1, 1)
    expected = {
        "bnn": 1.0,
        "xnorpp": 1.0,
        "recu": 54**-0.5,
        "xnor": alpha * x.abs().mean(dim=(1, 2, 3)).view(-1, 1, 1, 1),
    }
    torch.testing.assert_close(layer(x), sums * expected.get(name, alpha))


def test_the_border_is_minus_one() -> None:
    layer = BinaryConv2d(make("bnn"), 1, 1).eval()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    sums = layer.sums(torch.ones(1, 1, 3, 3))
    assert sums[0, 0].tolist() == [[-1, 3, -1], [3, 9, 3], [-1, 3, -1]]


def test_learned_scales_have_a_figure_a_row_and_column_of_places_and_no_more() -> None:
    layer = BinaryConv2d(make("xnorpp"), 3, 4, places=(5, 7))
    learned = sum(each.numel() for name, each in layer.named_parameters() if name != "weight")
    assert learned == 4 + 5 + 7
    assert sum(each.numel() for each in BinaryLinear(make("xnorpp"), 3, 4).parameters()) == 12 + 4


def test_a_shift_moves_the_threshold_of_a_linear_layer_too() -> None:
    layer = BinaryLinear(make("reactnet"), 2, 1).eval()
    with torch.no_grad():
        layer.shift.copy_(torch.tensor([1.0, -1.0]))
        layer.weight.fill_(1.0)
    assert layer.sums(torch.tensor([[-0.5, 0.5]])).tolist() == [[0.0]]


def test_groups_are_refused() -> None:
    with pytest.raises(InputError, match="in groups"):
        BinaryConv2d(make("bnn"), 4, 4, groups=2)


def test_a_gradient_is_not_changed_in_place() -> None:
    x = torch.tensor([-3.0, 0.5], requires_grad=True)
    grad = torch.ones(2)
    _sign.sign(x, _sign.clipped).backward(grad)
    assert grad.tolist() == [1, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1]

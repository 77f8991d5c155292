"""Ternary layers and their corrections: values, gradients, gates, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.train.ternary import GatePenalty, TernaryProducts, hybrid_layers, shut
from tests.train.ternary.nets import chain, tokens

torch = pytest.importorskip("torch")

GATES: Any = ("scalar", "channel", "input")


def test_the_product_is_that_of_the_publication() -> None:
    layer: Any = TernaryProducts().linear(24, 48, "o_proj")
    x, weight = tokens(5, 48)[0].numpy().astype(np.float64), layer.weight.detach().numpy().astype(np.float64)
    normal = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6)
    scale = np.float64(np.float16(np.abs(weight).mean()))
    trits = np.clip(np.rint(weight / scale), -1, 1)
    step = 127 / np.abs(normal).max(axis=1, keepdims=True)
    wanted = np.clip(np.rint(normal * step), -128, 127) @ trits.T * scale / step
    found = layer(tokens(5, 48))[0].detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("group", [16, 20, 48, 100])
def test_columns_of_a_group_share_a_scale(group: int) -> None:
    from shoal.train.ternary._layers import in_eight_bits

    x = tokens(5, 48)[0]
    found = in_eight_bits(x, group)
    for at in range(0, 48, group):
        part = x[:, at : at + group]
        step = part.abs().amax(1, keepdim=True) / 127
        np.testing.assert_allclose(found[:, at : at + group], (part / step).round() * step, atol=1e-6)


def test_gradients_pass_straight_through() -> None:
    layer: Any = TernaryProducts().linear(4, 8, "up")
    x = tokens(3, 8).requires_grad_()
    layer(x).sum().backward()
    from shoal.train.ternary._layers import in_eight_bits, trits

    codes, scale = trits(layer.weight)
    torch.testing.assert_close(x.grad, (codes * scale).sum(0).expand_as(x))
    torch.testing.assert_close(layer.weight.grad, in_eight_bits(x.detach()).sum((0, 1)).expand(4, 8))


@pytest.mark.parametrize("gate", GATES)
def test_it_begins_as_without_corrections_and_can_move(gate: Any) -> None:
    plain, hybrid = chain(TernaryProducts()), chain(TernaryProducts(rank=3, gate=gate), noise=False)
    assert torch.equal(plain(tokens()), hybrid(tokens()))
    hybrid(tokens()).square().sum().backward()
    for layer in hybrid_layers(hybrid).values():
        assert layer.side_out.grad.abs().max() > 0


@pytest.mark.parametrize("gate", GATES)
def test_shut_gates_are_the_plain_network_exactly(gate: Any) -> None:
    plain, hybrid = chain(TernaryProducts()), chain(TernaryProducts(rank=3, gate=gate))
    assert not torch.equal(plain(tokens()), hybrid(tokens()))
    shut(hybrid)
    assert torch.equal(plain(tokens()), hybrid(tokens()))


def test_only_the_named_layers_are_corrected() -> None:
    assert list(hybrid_layers(chain(TernaryProducts(rank=2, only=("up",)), noise=False))) == ["up"]


def test_ranks_that_layers_do_not_have() -> None:
    with pytest.raises(InputError, match="no correction of this rank"):
        TernaryProducts(rank=25).linear(24, 48, "o_proj")
    with pytest.raises(InputError, match="no correction of this rank"):
        TernaryProducts(rank=-1).linear(24, 48, "o_proj")
    TernaryProducts(rank=24).linear(24, 48, "o_proj")


def test_gates_are_free_then_held_small_and_then_settle() -> None:
    net = chain(TernaryProducts(rank=2), noise=False)
    penalty = GatePenalty(steps=8, strength=0.5, free=0.25, settled=0.25)
    assert penalty(net, 1) is None
    added = penalty(net, 5)
    assert added is not None
    assert float(added.detach()) == pytest.approx(0.5 * 2 * np.tanh(0.1))
    assert penalty(net, 6) is None
    assert not any(each.requires_grad for layer in hybrid_layers(net).values() for each in layer.gate.parameters())
    assert GatePenalty(steps=8)(chain(TernaryProducts()), 5) is None
    with pytest.raises(InputError):
        GatePenalty(steps=0)
    with pytest.raises(InputError):
        GatePenalty(steps=1, free=0.8, settled=0.3)

"""Rounding of activations: what each quantiser promises, and the same rounding as ops of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.compress import layers_of, weights_of
from shoal.compress.activations import telling
from shoal.compress.dynamic import insert_steps
from shoal.compress.quantisers._steps import Steps
from shoal.compress.quantisers.log2 import Log2
from shoal.compress.quantisers.per_channel import PerChannel
from shoal.compress.quantisers.per_token import PerToken
from shoal.compress.quantisers.shifted import Shifted
from shoal.compress.quantisers.trip import Trip
from shoal.errors import InputError
from shoal.graph import load
from shoal.graph.build import from_model
from tests.compress import nets
from tests.graph.models import write

FAMILY = "compress/quantisers"


def loud(places: int = 300, channels: int = 64, seed: int = 0) -> Any:
    """Normal values with three channels that are eight times as loud."""
    x = np.random.default_rng(seed).standard_normal((places, channels)).astype(np.float32)
    x[:, [5, 17, 40]] *= 8
    return x


@pytest.mark.parametrize("name", catalog.names(FAMILY))
def test_a_quantiser_keeps_its_promises(name: str) -> None:
    quantiser = catalog.make(FAMILY, name)
    x = np.abs(loud()) / 100
    rounding = quantiser.fitted(x)
    found = rounding.rounded(x.reshape(3, 100, 64))
    assert found.shape == (3, 100, 64)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.reshape(300, 64), rounding.rounded(x))
    np.testing.assert_allclose(rounding.rounded(found), found, rtol=1e-5)  # what is rounded stays
    if quantiser.needs_samples:
        for wrong in (None, np.full((2, 64), np.nan, np.float32), np.ones(64, np.float32)):
            with pytest.raises(InputError):
                quantiser.fitted(wrong)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_token_is_off_by_half_a_step_at_most(bits: int) -> None:
    x = loud()
    step = np.abs(x).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    assert (np.abs(PerToken(bits).fitted().rounded(x) - x) <= step * 0.5001).all()
    assert not PerToken(bits).fitted().rounded(np.zeros((2, 8))).any()


def test_channels_have_scales_of_their_own() -> None:
    x = loud()
    steps = np.abs(x).max(axis=0) / 127
    assert (np.abs(PerChannel().fitted(x).rounded(x) - x) <= steps * 0.5001).all()


def test_loud_channels_get_larger_powers_of_two() -> None:
    x = loud()
    factors = Shifted().fitted(x).factors
    assert set(np.unique(factors)) <= {1, 2, 4, 8}
    assert factors[[5, 17, 40]].min() > np.delete(factors, [5, 17, 40]).max()
    plain = Shifted(most=0).fitted(x)
    assert np.square(Shifted().fitted(x).rounded(x) - x).sum() < np.square(plain.rounded(x) - x).sum()


def test_trip_finds_the_group_and_is_never_worse() -> None:
    x = loud()
    found = Trip().fitted(x)
    assert set(np.flatnonzero(found.factors > 1)) == {5, 17, 40}
    assert len(np.unique(found.factors)) == 2
    assert np.square(found.rounded(x) - x).sum() < 0.5 * np.square(PerToken(4).fitted().rounded(x) - x).sum()
    even = np.random.default_rng(1).choice([-1.0, 1.0], (100, 64)).astype(np.float32)
    np.testing.assert_array_equal(Trip().fitted(even).rounded(even), PerToken(4).fitted().rounded(even))
    none = np.zeros(64, np.float32)
    none[0] = 1  # nothing but a quiet channel counts
    assert np.square(Trip().fitted(x, none).rounded(x) - x)[:, 0].sum() <= np.square(
        PerToken(4).fitted().rounded(x) - x)[:, 0].sum()  # fmt: skip


@given(st.floats(0, 1, width=32))
@settings(max_examples=200, deadline=None)
def test_a_share_becomes_the_power_of_a_half_that_is_nearest_by_its_logarithm(share: float) -> None:
    found = float(Log2().fitted().rounded(np.array([share], np.float32))[0])
    if share > 2.0**-15.4:
        assert 2**-0.5001 <= found / share <= 2**0.5001
    else:
        assert found == 2.0**-15


@pytest.mark.parametrize("share", [-0.1, 1.5, np.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(InputError):
        Log2().fitted().coded(np.array([share]))


@pytest.mark.parametrize(
    "text", ["per_token:bits=1", "per_channel:bits=9", "shifted:most=-1", "trip:share=2", "log2:bits=5"]
)
def test_options_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        catalog.make(FAMILY, text)


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_ops_of_onnx_round_alike(factor: float, tmp_path: Path) -> None:
    graph = load(write(nets.mlp(), tmp_path))
    first, second = layers_of(graph)[:2]
    source = np.random.default_rng(0)
    sample = {name: source.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.inputs}
    factors = np.where(np.arange(first.shape[1]) % 7, 1, factor).astype(np.float32)
    steps = {first.input: Steps(4, factors), second.input: Steps(8)}
    model = graph.model.clone()
    insert_steps(model, steps)
    asked = graph.ops[graph.position[first.op]].outputs
    ((_, _, found),) = telling(from_model(model, "rounded", graph.source, ""), asked, [sample])
    wanted = steps[first.input].rounded(sample[first.input]) @ weights_of(graph, first).T
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    with pytest.raises(InputError):
        insert_steps(graph.model.clone(), {first.input: Steps(8, scale=1.0)})
    with pytest.raises(InputError):
        insert_steps(graph.model.clone(), {"nowhere": Steps(8)})

"""Bit planes beside whole numbers of as many bits: never worse in any group, and what they are refused for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import InputError
from shoal.formats import quantise, restored
from shoal.formats._levels import Groups, alternated, even, halving, levels, narrowed, stored, whole_numbers

F32 = NDArray[np.float32]
LAWS = ("normal", "student", "outliers", "positive", "sparse", "far", "tiny")


def drawn(law: str, seed: int, shape: tuple[int, int] = (5, 128)) -> F32:
    """Weights that are easy for no one."""
    source = np.random.default_rng(seed)
    found = source.standard_normal(shape)
    match law:
        case "student":
            found = source.standard_t(3, shape)
        case "outliers":
            found[:, ::50] *= 30
        case "positive":
            found = np.abs(found) + 2
        case "sparse":
            found[source.random(shape) < 0.8] = 0
        case "far":
            found = 1000 + found
        case "tiny":
            found *= 1e-6
    return found.astype(np.float32)


def lost(name: str, weights: F32, importance: F32 | None) -> NDArray[np.float64]:
    """The weighted squared error of each group of 32."""
    form = formats.make(name)
    error = restored(form, quantise(form, weights, importance)).astype(np.float64) - weights
    heavy = error**2 * (1 if importance is None else importance)
    return heavy.reshape(len(weights), -1, 32).sum(axis=2)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LAWS), st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 4]), st.booleans())
def test_never_worse_than_whole_numbers(law: str, seed: int, bits: int, weighed: bool) -> None:
    weights = drawn(law, seed)
    importance = np.random.default_rng(seed).exponential(size=128).astype(np.float32) if weighed else None
    own = lost(f"hlq{bits}g32", weights, importance)
    for name in (f"int{bits}ag32", f"int{bits}asg32"):
        other = lost(name, weights, importance)
        assert (own <= other * (1 + 1e-4) + 1e-12 * (weights**2).sum()).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_whole_numbers_are_levels_of_planes_exactly(bits: int) -> None:
    zeros = np.arange(2**bits, dtype=np.float32)
    scales = np.full_like(zeros, np.float16(0.3))
    found, codes = levels(whole_numbers(scales, zeros, bits))
    np.testing.assert_array_equal(found, (np.arange(2**bits) - zeros[:, None]) * scales[:, None])
    assert (np.sort(codes, axis=1) == np.arange(2**bits)).all()


@pytest.mark.parametrize("law", LAWS)
def test_sums_between_borders_are_those_of_the_nearest_values(law: str) -> None:
    """Against all values beside all levels; one group has values that are all alike."""
    values, weight = drawn(law, 7, (9, 40)), np.random.default_rng(8).exponential(size=(9, 40)).astype(np.float32)
    values[4] = values[4, 0]
    groups = Groups.of(values, weight)
    for parameters in (even(groups, 3), halving(groups, 2), alternated(groups, even(groups, 2), 5)):
        ascending, _ = levels(parameters)
        off = np.abs(values[:, :, None].astype(np.float64) - ascending[:, None, :]).min(axis=2)
        energy = (weight * values.astype(np.float64) ** 2).sum(axis=1)
        np.testing.assert_allclose(
            groups.error(parameters), (weight * off**2).sum(axis=1), rtol=1e-6, atol=1e-9 * energy.max()
        )


@pytest.mark.parametrize("law", LAWS)
def test_never_worse_than_even_levels(law: str) -> None:
    """Over any share of the range, with any zero."""
    weights = drawn(law, 11)
    values = weights.reshape(-1, 32)
    own = lost("hlq2g32", weights, None).reshape(-1)
    groups = Groups.of(values, np.ones_like(values))
    for share in (1.0, 0.8, 0.65, 0.3):
        other = groups.error(stored(narrowed(even(groups, 2), share)))
        assert (own <= other * (1 + 1e-4) + 1e-6 * (values**2).sum(axis=1)).all()


def test_no_round_makes_it_worse() -> None:
    values = drawn("student", 9, (32, 64))
    groups = Groups.of(values, np.ones_like(values))
    errors = [groups.error(alternated(groups, even(groups, 3), rounds)) for rounds in range(6)]
    for before, after in pairwise(errors):
        assert (after <= before * (1 + 1e-5)).all()


def test_what_has_few_values_loses_nothing() -> None:
    """Four values that are sums of two scales, each as often as the others; and a group of one value."""
    codes = np.random.default_rng(0).permuted(np.tile(np.arange(32) % 4, (12, 1)), axis=1).reshape(6, 64)
    weights = (0.25 + 0.5 * (codes & 1) - 3.0 * (codes >> 1)).astype(np.float32)
    weights[3] = 0.5
    form = formats.make("hlq2g32")
    np.testing.assert_allclose(restored(form, quantise(form, weights)), weights, atol=1e-3)


def test_columns_of_a_group_one_by_one() -> None:
    """As rounding with error feedback asks for them, also where a group has more than one part in the matrix."""
    form, weights = formats.make("hlq3g32"), drawn("normal", 4)
    coded = quantise(form, weights)
    for group in range(4):
        own = {name: each[:, group : group + 1] for name, each in coded.params.items()}
        for width in (1, 7, 32):
            part = weights[:, 32 * group : 32 * group + width]
            np.testing.assert_array_equal(form.assign(part, own), coded.codes[:, 32 * group : 32 * group + width])


@pytest.mark.parametrize(("bits", "group", "expected"), [(2, 128, 2.375), (3, 128, 3.5), (2, 64, 2.75)])
def test_bits_of_a_weight_with_its_scales(bits: int, group: int, expected: float) -> None:
    assert formats.make(f"hlq{bits}g{group}").stored_bits((8, 256)) / (8 * 256) == expected


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("hlq2g128", np.ones((2, 192), np.float32), "the nearest that do: 96"),
        ("hlq2g64", np.ones((2, 0), np.float32), "no matrix"),
        ("hlq3", np.array([[1, np.nan]], np.float32), "not finite"),
        ("hlq5g64", np.ones((2, 64), np.float32), "1 to 4"),
        ("planes:bits=5", np.ones((2, 64), np.float32), "1 to 4"),
    ],
)
def test_what_cannot_be_coded(name: str, weights: F32, said: str) -> None:
    with pytest.raises(InputError) as found:
        quantise(formats.make(name), weights)
    assert said in f"{found.value} {found.value.hint}"

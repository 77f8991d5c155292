"""The letters network of the study of HALO: its slopes against differences, its squared gradients one by one."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.study._halo_lm import (
    LETTERS,
    Letters,
    _slopes,
    in_eight_bits,
    perplexity,
    seen,
    squared_gradients,
    text,
    train,
)

SIZES, CONTEXT = (3, 12, 8), 4


@pytest.fixture(scope="module")
def letters() -> np.ndarray:
    return text(6000)


@pytest.fixture(scope="module")
def network(letters: np.ndarray) -> Letters:
    return train(letters, SIZES, CONTEXT, 30, 0, lambda _: None)


def test_text_is_text_and_the_same_again(letters: np.ndarray) -> None:
    read = "".join(LETTERS[each] for each in letters)
    assert len(letters) == 6000
    assert read.count(" ") > 500
    np.testing.assert_array_equal(text(6000), letters)


def test_slopes_are_what_small_changes_give(network: Letters, letters: np.ndarray) -> None:
    at = np.arange(40)
    contexts, wanted = letters[at[:, None] + np.arange(CONTEXT)], letters[at + CONTEXT]
    double = Letters(network.embedding.astype(float), *([each.astype(float) for each in some]
                                                        for some in (network.weights, network.biases)))  # fmt: skip
    loss, slopes = _slopes(double, contexts, wanted)
    values = [double.embedding, *double.weights, *double.biases]
    source = np.random.default_rng(1)
    for value, slope in zip(values, slopes, strict=True):
        way = source.standard_normal(value.shape)
        before = value.copy()
        ends = []
        for step in (1e-6, -1e-6):
            value[...] = before + step * way
            ends.append(_slopes(double, contexts, wanted)[0])
        value[...] = before
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((slope * way).sum()), rel=1e-3)
    assert loss == pytest.approx(float(np.log(perplexity(network, letters[:44], 40))), rel=1e-4)


def test_squared_gradients_one_by_one(network: Letters, letters: np.ndarray) -> None:
    found = squared_gradients(network, letters, 20, 3)
    at = np.random.default_rng(3).integers(0, len(letters) - CONTEXT, 20)
    alone = [
        _slopes(network, letters[one + np.arange(CONTEXT)][None], letters[[one + CONTEXT]])[1][1:4] for one in at
    ]
    for layer, each in enumerate(found):
        np.testing.assert_allclose(each, np.mean([one[layer] ** 2 for one in alone], axis=0), rtol=1e-3, atol=1e-9)


def test_it_learns_and_eight_bits_hardly_matter(network: Letters, letters: np.ndarray) -> None:
    fresh = train(letters, SIZES, CONTEXT, 0, 0, lambda _: None)
    assert perplexity(network, letters, 2000) < 0.9 * perplexity(fresh, letters, 2000)
    coded = network.copy(network.weights, whole=False)
    assert perplexity(coded, letters, 2000) == pytest.approx(perplexity(network, letters, 2000), rel=0.01)
    x = np.random.default_rng(0).standard_normal((5, 30)).astype(np.float32)
    assert (np.abs(in_eight_bits(x) - x).max(axis=1) <= np.abs(x).max(axis=1) / 254 * 1.01).all()
    assert not in_eight_bits(np.zeros((2, 3), np.float32)).any()


def test_what_a_layer_sees(network: Letters, letters: np.ndarray) -> None:
    found = seen(network, network, 1, letters, 100, 0)
    assert found.square.shape == (1, SIZES[1], SIZES[1])
    np.testing.assert_allclose(found.square, found.cross, rtol=1e-5)

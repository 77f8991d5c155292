"""Scores of tokens, and who stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import InputError
from shoal.kv import Pruning, stages
from shoal.kv.scores.received import Received
from shoal.kv.scores.to_first import ToFirst

FAMILY = "kv/scores"


def attention(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Causal softmax shares of random scores."""
    powers = np.tril(np.exp(2 * np.random.default_rng(seed).standard_normal(shape)))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", catalog.names(FAMILY))
def test_a_score_is_a_figure_for_each_token(name: str) -> None:
    score = catalog.make(FAMILY, name)
    shares = attention((3, 4, 9, 9))
    found = score.of(shares)
    assert found.shape == (3, 9)
    for one, whole in zip(shares, found, strict=True):
        np.testing.assert_allclose(score.of(one), whole, rtol=1e-6)


def test_scores_are_what_their_formulas_say() -> None:
    shares = attention((2, 5, 5))
    first = [sum(shares[head, i, 0] for head in range(2)) for i in range(5)]
    np.testing.assert_allclose(ToFirst().of(shares), first, rtol=1e-6)
    received = [sum(shares[head, i, j] for head in range(2) for i in range(j, 5)) / (5 - j) for j in range(5)]
    np.testing.assert_allclose(Received().of(shares), received, rtol=1e-6)


@given(st.integers(1, 40), st.floats(0, 0.99), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_as_many_go_as_asked_and_never_the_ends(tokens: int, ratio: float, seed: int) -> None:
    kept = Pruning(ratio, (0,)).kept(0, attention((2, 3, tokens, tokens), seed))
    dropped = max(0, min(int(ratio * tokens), tokens - 2))
    if not dropped:
        assert kept is None
        return
    assert kept is not None
    assert kept.shape == (2, tokens - dropped)
    assert (np.diff(kept, axis=1) > 0).all()
    assert (kept[:, 0] == 0).all()
    assert (kept[:, -1] == tokens - 1).all()


def test_the_lowest_go() -> None:
    shares = attention((1, 2, 10, 10))
    kept = Pruning(0.3, (0,)).kept(0, shares)
    assert kept is not None
    scores = ToFirst().of(shares)[0]
    gone = sorted(set(range(10)) - set(kept[0].tolist()))
    assert max(scores[gone]) <= min(scores[[each for each in kept[0] if each not in (0, 9)]])


def test_other_layers_keep_all() -> None:
    assert Pruning(0.5, (1,)).kept(0, attention((1, 1, 8, 8))) is None
    assert stages(4) == (1, 2, 3)
    assert stages(32) == (8, 16, 24)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
def test_no_share_is_refused(ratio: float) -> None:
    with pytest.raises(InputError):
        Pruning(ratio)

"""Choosing tokens: greedy takes the first, drawing follows the shares, limits hold."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.llm.service import Sampling

SCORES = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))
TOKENS = np.array([7, 3, 9, 1])


def drawn(sampling: Sampling, count: int = 4000) -> dict[int, float]:
    found = [sampling.chosen(SCORES, TOKENS, place) for place in range(count)]
    return {int(token): found.count(token) / count for token in TOKENS}


def test_greedy_takes_the_first() -> None:
    assert Sampling().chosen(SCORES, TOKENS, 0) == 7


def test_drawing_follows_the_shares() -> None:
    shares = drawn(Sampling(1.0))
    assert [shares[token] for token in TOKENS] == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.03)


def test_a_low_temperature_sharpens() -> None:
    shares = drawn(Sampling(0.5))
    assert shares[7] == pytest.approx(0.25 / (0.25 + 0.0625 + 0.0225 + 0.01), abs=0.03)


@pytest.mark.parametrize(("sampling", "left"), [(Sampling(1.0, top_p=0.6), {7, 3}), (Sampling(1.0, top_k=3), {7, 3, 9}),
                                                (Sampling(1.0, top_p=0.5), {7})])  # fmt: skip
def test_limits(sampling: Sampling, left: set[int]) -> None:
    assert {token for token, share in drawn(sampling).items() if share} == left


def test_the_same_seed_draws_the_same() -> None:
    one, other = (
        [Sampling(1.0, seed=seed).chosen(SCORES, TOKENS, place) for place in range(40)] for seed in (1, 2)
    )
    assert one == [Sampling(1.0, seed=1).chosen(SCORES, TOKENS, place) for place in range(40)]
    assert one != other


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_k": -1}])
def test_figures_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Sampling(**wrong)  # type: ignore[arg-type]  # each by its name

"""The model of the speed, what is chosen by it, and two boards of the catalog."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.llm import architecture
from shoal.llm.drafting import Budget, Curve, Round, Speed, Tuner, chain_length
from shoal.llm.drafting.rounds import Two

LLAMA = {
    "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
FLAT = Speed(Curve((1, 64), (1.0, 1.0)), Curve((1, 64), (0.01, 0.64)))
STEEP = Speed(Curve((1, 2), (1.0, 2.0)), Curve((1, 2), (0.5, 1.0)))


def test_the_length_of_a_chain_is_what_drawing_says() -> None:
    tried = np.random.default_rng(0).random((200_000, 5)) < 0.6
    found = np.cumprod(tried, axis=1).sum(axis=1).mean()
    assert chain_length(0.6, 5) == pytest.approx(found, rel=0.01)
    assert chain_length(0.6, 5) + 1 == pytest.approx((1 - 0.6**6) / (1 - 0.6))
    assert (chain_length(1.0, 5), chain_length(0.0, 5), chain_length(0.5, 0)) == (5, 0, 0)


def test_a_curve_goes_on_as_it_ends() -> None:
    curve = Curve((1, 3, 5), (1.0, 2.0, 4.0))
    assert [curve(count) for count in (0, 1, 2, 4, 7)] == [1.0, 1.0, 1.5, 3.0, 6.0]
    assert Curve((2,), (3.0,))(9) == 3.0
    with pytest.raises(InputError, match="ascending counts"):
        Curve((2, 1), (1.0, 1.0))


def test_the_best_chain_is_the_best_of_all() -> None:
    for alpha in (0.2, 0.6, 0.9):
        speeds = [FLAT.tokens_per_s(chain_length(alpha, tokens), tokens) for tokens in range(33)]
        assert FLAT.best_chain(alpha, 32) == int(np.argmax(speeds))
    assert FLAT.best_chain(0.3, 32) < FLAT.best_chain(0.9, 32)
    assert STEEP.best_chain(0.9, 32) == 0


def test_a_tuner_follows_what_is_accepted_and_tries_again() -> None:
    tuner = Tuner(STEEP, alpha=0.1, retry=3)
    assert [tuner.budget() for _ in range(4)] == [None, None, Budget.chain(1), None]
    changing = Tuner(FLAT, alpha=0.2)
    before = changing.tokens
    for _ in range(40):
        changing.saw(Round(4, 4, 4, 0, 0.0, 0.0))
    assert changing.alpha > 0.95
    assert changing.tokens > before
    for _ in range(60):
        changing.saw(Round(4, 4, 0, 0, 0.0, 0.0))
    assert changing.alpha < 0.1


def test_tokens_after_the_refused_one_were_not_tried() -> None:
    tuner = Tuner(FLAT, alpha=0.5, weight=0.1)
    tuner.saw(Round(4, 4, 1, 0, 0.0, 0.0))
    assert tuner.alpha == pytest.approx(0.9 * (0.5 + 0.1 * 0.5))


def test_boards_of_the_catalog() -> None:
    pair = Two(architecture(LLAMA))
    assert pair.target_s(1) == pytest.approx(pair.target_s(2), rel=0.01), "bound by memory"
    assert pair.target_s(64) > 2 * pair.target_s(1), "bound by arithmetic"
    assert pair.draft_s(4) == pytest.approx(4 * pair.draft_s(1))
    assert pair.draft_s(1) < pair.target_s(1) / 10
    assert 1.5 < pair.speedup(2.0, 4) < 3
    assert pair.speedup(0.0, 4) < 1
    assert Two(architecture(LLAMA), blocks=4).draft_s(1) > 1.5 * pair.draft_s(1)

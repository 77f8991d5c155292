"""Formulas of latency and power: laws that are known come back, limits are told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, LimitError
from shoal.llm import architecture
from shoal.llm.reasoning import (
    Decode,
    Energy,
    Latency,
    Power,
    Prefill,
    Roofline,
    fit_decode,
    fit_power,
    fit_prefill,
    mape,
    staircase,
)

LENGTHS = [16, 64, 120, 128, 129, 136, 200, 256, 257, 300, 384, 385, 512, 513, 700, 1024]
LATENCY = Latency(Prefill(1e-8, 1e-5, 2e-3, longest=512), Decode(4e-3, 1e-3, 1e-6, longest=640, widest=8))
LLAMA_8B = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
}  # fmt: skip


@given(st.integers(0, 500), st.integers(0, 200), st.integers(1, 16))
def test_decode_in_closed_form_is_the_sum_over_tokens(prompt: int, tokens: int, texts: int) -> None:
    summed = sum(LATENCY.decode.token_s(prompt + at, texts) for at in range(tokens))
    assert LATENCY.decode.seconds(prompt, tokens, texts) == pytest.approx(summed)


@pytest.mark.parametrize("tile", [1, 128])
def test_a_known_law_of_prefill_comes_back_and_its_stairs_are_found(tile: int) -> None:
    law = Prefill(2e-8, 3e-5, 4e-3, tile)
    noise = np.random.default_rng(0).normal(1, 0.002, len(LENGTHS))
    times_s = [law.seconds(n) * each for n, each in zip(LENGTHS, noise, strict=True)]
    found = fit_prefill(LENGTHS, times_s, tile)
    assert mape(times_s, [found.seconds(n) for n in LENGTHS]) < 1
    assert found.token_s == pytest.approx(law.token_s, rel=0.1)
    assert staircase(LENGTHS, times_s).present is (tile == 128)


def test_decode_with_batches_comes_back_though_some_times_are_far_off() -> None:
    law, source = Decode(4e-3, 1e-3, 2e-6), np.random.default_rng(1)
    seen = np.tile(np.arange(16, 528, 16), 4)
    texts = np.repeat([1, 2, 4, 8], 32)
    times_s = np.array([law.token_s(n, wide) for n, wide in zip(seen, texts, strict=True)])
    times_s *= source.normal(1, 0.005, len(seen))
    times_s[::15] *= 5
    found = fit_decode(seen, times_s, texts)
    assert found.weights_s == pytest.approx(law.weights_s, rel=0.05)
    assert found.text_s == pytest.approx(law.text_s, rel=0.05)
    assert found.seen_s == pytest.approx(law.seen_s, rel=0.05)
    assert (found.longest, found.widest) == (512, 8)


def test_beyond_what_was_measured_there_is_a_warning() -> None:
    assert LATENCY.warning(512, 128, 8) == ""
    assert "a prompt of 600, measured up to 512" in LATENCY.warning(600, 1)
    assert "a context of 700" in LATENCY.warning(500, 200)
    assert "texts at once: 16" in LATENCY.warning(8, 8, 16)


@given(st.floats(0.0101, 2.0))
def test_the_most_tokens_fit_and_one_more_does_not(limit_s: float) -> None:
    found = LATENCY.most_tokens(limit_s, 100)
    assert LATENCY.seconds(100, found) <= limit_s < LATENCY.seconds(100, found + 1)


def test_less_than_a_token_is_infeasible_and_the_minimum_is_told() -> None:
    with pytest.raises(LimitError, match=r"infeasible, minimum is 8\.2 ms"):
        LATENCY.most_tokens(0.005, 100)
    with pytest.raises(InputError, match="too few lengths"):
        fit_prefill([8, 8], [1.0, 1.0])


def test_power_keeps_the_form_that_is_worth_its_parameters() -> None:
    tokens, source = np.geomspace(8, 4096, 24), np.random.default_rng(0)
    law = Power(20.0, 4.0, 128.0)
    rising = fit_power(tokens, [law.watts(n) + source.normal(0, 0.1) for n in tokens])
    assert rising.slope_w == pytest.approx(4.0, rel=0.1)
    assert rising.threshold == pytest.approx(128, rel=0.5)
    flat = fit_power(tokens, 15 + source.normal(0, 0.1, len(tokens)))
    assert flat.slope_w == 0
    assert math.isinf(flat.threshold)


def test_energy_is_power_times_time_of_each_phase_and_costs() -> None:
    energy = Energy(LATENCY, Power(10.0), Power(5.0))
    joules = 10 * LATENCY.prefill.seconds(100) + 5 * LATENCY.decode.seconds(100, 50)
    assert energy.joules(100, 50) == pytest.approx(joules)
    device = 1000 * LATENCY.seconds(100, 50) / 1e8
    assert energy.cost_usd(100, 50, 0.2, 1000, 1e8) == pytest.approx(joules / 3.6e6 * 0.2 + device)


def test_eight_billion_weights_on_an_orin_are_above_the_memory_s_floor() -> None:
    model = architecture(LLAMA_8B)
    floor = Roofline().latency(model)
    assert floor.decode.token_s(0) == pytest.approx(7.5e9 * 2 / 204.8e9, rel=0.03)
    assert floor.decode.seen_s == pytest.approx(131072 / 204.8e9)
    assert floor.decode_share(128, 2048) > 0.9
    half = Roofline(bandwidth_share=0.5).latency(model)
    assert half.decode.weights_s == pytest.approx(2 * floor.decode.weights_s)
    with pytest.raises(InputError, match="efficiency"):
        Roofline(bandwidth_share=0.0)

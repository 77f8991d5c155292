"""Published limits of expert parallelism, drafts and training follow from configurations and links."""

from __future__ import annotations

import pytest

from shoal.errors import InputError
from shoal.llm import architecture
from shoal.llm.limits import ExpertParallel, drafted_speed, expert_parallel
from shoal.llm.training_cost import training_cost
from tests.llm import configs

DEEPSEEK = architecture(configs.DEEPSEEK_V3)


@pytest.mark.parametrize(
    ("link", "exchange_us", "token_ms", "rate"), [(50e9, 120.96, 14.76, 67), (900e9, 6.72, 0.82, 1200)]
)
def test_the_published_limit_of_expert_parallelism(
    link: float, exchange_us: float, token_ms: float, rate: float
) -> None:
    found = expert_parallel(DEEPSEEK, link, width=7000, layers=61)
    assert found.exchange_s * 1e6 == pytest.approx(exchange_us, rel=1e-6)
    assert found.token_s * 1e3 == pytest.approx(token_ms, rel=5e-3)
    assert found.tokens_per_s == pytest.approx(rate, rel=0.02)  # the publication rounds


def test_the_true_width_and_layers_change_it() -> None:
    found = expert_parallel(DEEPSEEK, 50e9)
    assert (found.met, found.width, found.layers) == (9, 7168, 58)
    assert found.exchange_s == pytest.approx(120.96e-6 * 7168 / 7000)
    assert found.tokens_per_s == pytest.approx(67.76 * 7000 / 7168 * 61 / 58, rel=1e-3)


def test_another_model_by_hand() -> None:
    """Mixtral: two experts of a token, none for all; 3 bytes · 16 tokens · 2 · 4096 values over 10 GB/s."""
    found = expert_parallel(architecture(configs.MIXTRAL_8X7B), 10e9, 16)
    assert found.exchanged_bytes == 3 * 16 * 2 * 4096
    assert found.token_s == pytest.approx(2 * 32 * 3 * 16 * 2 * 4096 / 10e9)


def test_no_experts_no_link_no_limit() -> None:
    with pytest.raises(InputError, match="without experts"):
        expert_parallel(architecture(configs.LLAMA_8B), 50e9)
    with pytest.raises(InputError, match="no exchange"):
        ExpertParallel(32, 9, 7000, 61, 0)


@pytest.mark.parametrize(
    ("entries", "published"), [(configs.DEEPSEEK_V3, 250e9), (configs.LLAMA_405B, 2448e9)], ids=["V3", "405B"]
)
def test_the_published_compute_of_training(entries: configs.Entries, published: float) -> None:
    assert training_cost(architecture(entries)).flops == pytest.approx(published, rel=0.05)


def test_seventy_two_billions_take_more_than_published() -> None:
    """394 are published; six times the weights that are multiplied with are 427 already."""
    found = training_cost(architecture(configs.QWEN_72B))
    assert found.weights_flops == pytest.approx(6 * (72.706e9 - 152064 * 8192), rel=1e-3)
    assert 1.08 < found.flops / 394e9 < 1.14


@pytest.mark.parametrize("name", ["Llama 3.1 8B", "Gemma 3 270M", "Mixtral 8x7B", "Mamba-2 130M", "Bamba 9B"])
def test_the_mean_of_all_places(name: str) -> None:
    model = architecture(configs.ALL[name])
    wanted = 6 * sum(model.macs(seen) for seen in range(1, 601)) / 600
    assert training_cost(model, 600).flops == pytest.approx(wanted, rel=1e-9)
    assert training_cost(model, 1200).attention_flops >= training_cost(model, 600).attention_flops


def test_drafts_by_hand() -> None:
    assert drafted_speed(0.8) == pytest.approx(1.8)
    assert drafted_speed(0.85, 0.05) == pytest.approx(1.85 / 1.05)
    assert drafted_speed(0.5, 0, 3) == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    assert drafted_speed(0, 0.1) < 1
    with pytest.raises(InputError, match="no draft"):
        drafted_speed(1.2)

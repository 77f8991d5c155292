"""Published figures follow from configurations, and are those that the models themselves have."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.llm import architecture
from tests.llm import configs

PARAMETERS = {
    "Llama 3.1 8B": 8_030_261_248,
    "Llama 3.1 405B": 405_853_388_800,
    "Qwen 2.5 72B": 72_706_203_648,
    "Qwen 3 0.6B": 596_049_920,
    "Gemma 3 270M": 268_098_176,
    "Mixtral 8x7B": 46_702_792_704,
    "DeepSeek V3": 671_026_419_200,
    "Mamba-2 130M": 128_989_632,
}


@pytest.mark.parametrize(("name", "wanted"), PARAMETERS.items())
def test_published_models_have_as_many_weights(name: str, wanted: int) -> None:
    assert architecture(configs.ALL[name]).parameters == wanted


@pytest.mark.parametrize("name", configs.ALL)
def test_transformers_counts_as_many(name: str) -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    entries = dict(configs.ALL[name])
    config = transformers.AutoConfig.for_model(entries.pop("model_type"), **entries)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    corrections = sum(each.numel() for at, each in model.named_buffers() if "correction_bias" in at)
    assert architecture(configs.ALL[name]).parameters == sum(map(torch.numel, model.parameters())) + corrections


@pytest.mark.parametrize(
    ("entries", "kilobytes"),
    [(configs.DEEPSEEK_V3, 70.272), (configs.QWEN_72B, 327.680), (configs.LLAMA_405B, 516.096)],
)
def test_a_token_in_the_cache_takes_what_was_published(entries: dict[str, Any], kilobytes: float) -> None:
    """Zhao et al., "Insights into DeepSeek-V3", 2025, table 1; a kilobyte has 1,000."""
    found = architecture(entries)
    assert found.cache_bytes(1) == pytest.approx(1000 * kilobytes)
    assert found.cache_bytes(1000) == pytest.approx(1000 * found.cache_bytes(1))


def test_the_compute_of_a_token_is_what_was_published() -> None:
    """As above, table 2: training takes 250 GFLOP a token of DeepSeek-V3 and 2,448 of Llama at 4,096 tokens."""
    for entries, published in ((configs.DEEPSEEK_V3, 250e9), (configs.LLAMA_405B, 2448e9)):
        found = architecture(entries)
        trained = 3 * 2 * found.macs(4096 // 2)  # a token sees half of the others in the mean; backward costs twice
        assert trained == pytest.approx(published, rel=0.05)


def test_experts_that_are_not_chosen_are_not_met() -> None:
    assert architecture(configs.DEEPSEEK_V3).active_parameters == pytest.approx(37e9, rel=0.02)
    assert architecture(configs.MIXTRAL_8X7B).active_parameters == pytest.approx(12.9e9, rel=0.01)
    dense = architecture(configs.LLAMA_8B)
    assert dense.active_parameters == dense.parameters


def test_windows_and_states_stop_growing() -> None:
    gemma, mamba = architecture(configs.GEMMA_270M), architecture(configs.MAMBA2_130M)
    whole = 3  # of its eighteen layers see everything
    assert gemma.cache_bytes(10_000) - gemma.cache_bytes(9_000) == whole * 1000 * 2 * 256 * 2
    assert mamba.cache_bytes(1) == mamba.cache_bytes(100_000) > 0
    assert mamba.macs(1) == mamba.macs(100_000)

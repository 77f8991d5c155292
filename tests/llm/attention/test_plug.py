"""Policies in models of transformers: exact ones change nothing, all leave the model as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.kv.policies.contract import FAMILY
from shoal.kv.recording import Recording
from shoal.llm.attention import attending, generate
from shoal.llm.modules import module
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

EXACT = (
    "full",
    "tiled:tiles=20",
    "pages:dense=0,budget=2048",
    "hybrid:dense=0,budget=2048",
    "streaming",
    "sliding",
)
NEW = 12


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama").module("sdpa")


def text(places: int, batch: int = 1) -> Any:
    return np.random.default_rng(places).integers(32, 127, (batch, places))


def logits(model: Any, tokens: Any, policy: str, prompt: int) -> Any:
    """Those of the last tokens, which come one by one."""
    tokens = torch.from_numpy(tokens)
    with torch.no_grad(), attending(model, catalog.make(FAMILY, policy)) as cache:
        found = [model(tokens[:, :prompt], past_key_values=cache).logits[:, -1:]]
        for at in range(prompt, tokens.shape[1]):
            found.append(model(tokens[:, at : at + 1], past_key_values=cache).logits)
    return torch.cat(found, 1)


@pytest.mark.parametrize("policy", EXACT)
def test_what_is_exact_changes_neither_logits_nor_text(model: Any, policy: str) -> None:
    tokens = text(100)
    given = torch.from_numpy(tokens)
    wanted = model.generate(given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=NEW,
                            min_new_tokens=NEW, pad_token_id=0).numpy()  # fmt: skip
    np.testing.assert_array_equal(generate(model, tokens, catalog.make(FAMILY, policy), NEW), wanted)
    with torch.no_grad():
        plain = model(torch.from_numpy(wanted)).logits[:, 99:]
    assert float((logits(model, wanted, policy, 100) - plain).abs().max()) <= 1e-4 * float(plain.abs().max())
    assert model.config._attn_implementation == "sdpa"


GROUPED: Mapping[str, Any] = {
    "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 256,
}  # fmt: skip
WINDOWED: Mapping[str, Any] = {
    "model_type": "gemma3_text", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 48, "max_position_embeddings": 256,
    "sliding_window": 16, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
}  # fmt: skip
LATENT: Mapping[str, Any] = {
    "model_type": "deepseek_v3", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "intermediate_size": 48, "moe_intermediate_size": 16, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "kv_lora_rank": 16,
    "q_lora_rank": 12, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8, "max_position_embeddings": 256,
}  # fmt: skip


@pytest.mark.parametrize("policy", ["full", "tiled", "pages:dense=0", "hybrid:dense=1"])
@pytest.mark.parametrize("config", [GROUPED, WINDOWED], ids=["grouped", "windowed"])
def test_shared_keys_and_windows_of_the_model_stay_what_they_are(config: Mapping[str, Any], policy: str) -> None:
    tokens = text(60, batch=2) % 64
    made = module(config, attention="eager")
    with torch.no_grad():
        plain = made(torch.from_numpy(tokens)).logits[:, 39:]
    assert float((logits(made, tokens, policy, 40) - plain).abs().max()) <= 1e-4 * float(plain.abs().max())


def test_latents_are_kept_and_counted() -> None:
    made, tokens = module(LATENT, attention="eager"), text(30) % 64
    with torch.no_grad():
        plain = made(torch.from_numpy(tokens)).logits[:, 19:]
    for policy in ("latent", "full"):
        assert float((logits(made, tokens, policy, 20) - plain).abs().max()) <= 1e-4 * float(plain.abs().max())
    with torch.no_grad(), attending(made, catalog.make(FAMILY, "latent")) as cache:
        made(torch.from_numpy(tokens), past_key_values=cache)
    assert cache.traffic().written == 2 * 30 * (16 + 4) * 4
    with pytest.raises(InputError, match="cannot read latents"):
        logits(made, tokens, "pages:dense=0", 20)


@pytest.mark.parametrize("policy", ["full", "streaming:sink=4,recent=24,spare=8", "hybrid:dense=0,sink=8"])
def test_several_tokens_at_once_are_as_one_by_one_and_can_be_taken_back(model: Any, policy: str) -> None:
    tokens = torch.from_numpy(text(80))
    one = logits(model, tokens.numpy(), policy, 60)[:, 1:]
    with torch.no_grad(), attending(model, catalog.make(FAMILY, policy)) as cache:
        model(tokens[:, :60], past_key_values=cache)
        wrong = model(tokens[:, :5], past_key_values=cache).logits
        cache.crop(-5)
        found = [model(tokens[:, at : at + 4], past_key_values=cache).logits for at in range(60, 80, 4)]
    assert wrong.shape[1] == 5
    torch.testing.assert_close(torch.cat(found, 1), one, atol=2e-4, rtol=1e-3)


def test_a_cache_that_was_reset_is_empty(model: Any) -> None:
    tokens = torch.from_numpy(text(20))
    with torch.no_grad(), attending(model, catalog.make(FAMILY, "full")) as cache:
        first = model(tokens, past_key_values=cache).logits
        cache.reset()
        assert cache.get_seq_length() == 0
        torch.testing.assert_close(model(tokens, past_key_values=cache).logits, first)


def test_pages_are_recorded(model: Any) -> None:
    from shoal.kv.policies.hybrid import Hybrid

    policy = Hybrid(((0, 1), (), (5,), tuple(range(6))), page=8, budget=24, sink=8, recent=16, dense=0)
    tokens = torch.from_numpy(text(70))
    with torch.no_grad(), attending(model, policy) as cache:
        model(tokens[:, :66], past_key_values=cache)
        recording = Recording(cache.stores)
        for at in range(66, 70):
            model(tokens[:, at : at + 1], past_key_values=cache)
    found = recording.selections()
    assert (found.context, found.layers, found.kv_heads, found.head, len(found.steps)) == (66, 4, 6, 32, 4)
    assert (found.sink, found.recent) == (8, 16)
    assert found.streaming.sum(axis=1).tolist() == [2, 0, 1, 6]
    for step in found.steps:
        for layer in range(4):
            for head in range(6):
                pages = step[layer][head].tolist()
                assert pages == [] if found.streaming[layer, head] else (len(pages) == 3 and {0, 8} <= set(pages))


def test_what_cannot_be_is_refused(model: Any) -> None:
    full = catalog.make(FAMILY, "full")
    with pytest.raises(InputError, match="more tokens than the model's context"):
        generate(model, text(4090), full, 10)
    with pytest.raises(InputError, match="no tokens to begin with"):
        generate(model, text(10), full, 0)
    with pytest.raises(InputError, match="no head chooses pages"), attending(model, full) as cache:
        Recording(cache.stores)
    with pytest.raises(InputError, match="does not follow beams"):
        generate(model, text(10), full, 4, num_beams=2)
    scan = module({"model_type": "mamba2", "hidden_size": 16, "num_heads": 4, "head_dim": 8, "state_size": 8, "n_groups": 1,
                   "num_hidden_layers": 1, "vocab_size": 32, "expand": 2})  # fmt: skip
    with pytest.raises(InputError, match="without attention in each layer"), attending(scan, full):
        pass

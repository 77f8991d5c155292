"""Latent attention absorbed answers as expanded, in prefill and decode, and its cache has the bytes of the formula."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shoal.errors import ModelError
from shoal.llm import Latent, architecture
from shoal.llm.latent_cost import absorbed_macs, absorbs, expanded_macs
from shoal.llm.modules import module
from tests.llm import configs

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from shoal.llm.latent import absorbed, always, attentions, kept_bytes, shape_of  # noqa: E402  # behind what skips

SMALL: dict[str, Any] = configs.DEEPSEEK_V3 | {
    "vocab_size": 64, "hidden_size": 48, "intermediate_size": 96, "moe_intermediate_size": 16, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 4,
    "topk_group": 2, "first_k_dense_replace": 1, "q_lora_rank": 24, "kv_lora_rank": 20, "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8, "v_head_dim": 10, "max_position_embeddings": 256,
}  # fmt: skip
VARIANTS = {
    "eager": ({}, "eager"), "sdpa": ({}, "sdpa"), "no query rank": ({"q_lora_rank": None}, "eager"),
    "not interleaved": ({"rope_interleave": False}, "sdpa"),
}  # fmt: skip


def close(found: Any, wanted: Any) -> bool:
    return bool((found - wanted).abs().max() <= 1e-4 * max(1.0, float(wanted.abs().max())))


@pytest.mark.parametrize("name", VARIANTS)
def test_absorbed_is_expanded(name: str) -> None:
    """A prompt at once, a second stretch behind it, then single tokens; a batch of two, one of them padded."""
    changes, attention = VARIANTS[name]
    model = module(SMALL | changes, seed=1, attention=attention)
    symbols = torch.randint(0, 64, (2, 24), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(symbols)
    mask[1, :5] = 0
    cuts = [0, 12, 20, 21, 22, 23, 24]

    def answers() -> Any:
        cache, found = None, []
        for start, stop in itertools.pairwise(cuts):
            out = model(
                symbols[:, start:stop], attention_mask=mask[:, :stop], past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            found.append(out.logits)
        return torch.cat(found, dim=1)[mask.bool()]  # what is padded answers nothing

    with torch.no_grad():
        wanted = answers()
        with absorbed(model, always):
            found = answers()
        again = answers()
    assert close(found, wanted)
    assert not torch.equal(found, wanted)  # it did compute another way
    assert torch.equal(again, wanted)  # and is undone


def test_a_whole_pass_without_a_cache() -> None:
    model = module(SMALL, seed=2, attention="sdpa")
    symbols = torch.arange(40)[None]
    with torch.no_grad():
        wanted = model(symbols, use_cache=False).logits
        with absorbed(model, always):
            assert close(model(symbols, use_cache=False).logits, wanted)


def test_greedy_text_is_the_same() -> None:
    model = module(SMALL, seed=3)
    start = torch.arange(8)[None]
    wanted = model.generate(start, max_new_tokens=12, do_sample=False)
    with absorbed(model):
        assert torch.equal(model.generate(start, max_new_tokens=12, do_sample=False), wanted)


def test_it_is_undone_after_a_fault() -> None:
    model = module(SMALL)
    with pytest.raises(RuntimeError, match="stop"), absorbed(model):
        raise RuntimeError("stop")
    assert all("forward" not in vars(layer) for layer in attentions(model))


@pytest.mark.parametrize("tokens", [1, 37])
def test_the_cache_has_the_bytes_of_the_formula(tokens: int) -> None:
    model = module(SMALL)
    with torch.no_grad(), absorbed(model):
        cache = model(torch.zeros(1, tokens, dtype=torch.int64), use_cache=True).past_key_values
    assert kept_bytes(cache) == architecture(SMALL).cache_bytes(tokens, value_bytes=4) == tokens * 3 * (20 + 8) * 4


def test_another_model_is_refused() -> None:
    from shoal.llm.tiny import tiny

    with pytest.raises(ModelError, match="without latent attention"), absorbed(tiny("llama").module()):
        pass


def test_fewer_multiplications_decide() -> None:
    """DeepSeek-V3's sizes: one token reads 576 + 512 values a head and token seen, instead of expanding them all."""
    mixer = architecture(configs.DEEPSEEK_V3).layers[0].mixer
    assert isinstance(mixer, Latent)
    assert absorbed_macs(mixer, 1, 4096) == 128 * (512 * 256 + 4096 * 1088)
    assert expanded_macs(mixer, 1, 4096) == 4096 * 128 * (512 * 256 + 320)
    assert absorbs(mixer, 1, 4096)
    assert not absorbs(mixer, 4096, 4096)
    assert shape_of(attentions(module(SMALL))[0]) == architecture(SMALL).layers[0].mixer

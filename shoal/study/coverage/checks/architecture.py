"""How models are built."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from shoal.llm.library import transformers_module
from shoal.study.coverage.checks import _lab as lab

SMALL: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 256, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 6, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip


def tied() -> dict[str, float]:
    """Weights of a decoder whose head is its embedding, over those of one with a head of its own."""
    from shoal.llm import architecture
    from shoal.llm.modules import module

    one, two = (
        sum(each.numel() for each in module(SMALL | {"tie_word_embeddings": tie}, seed=0).parameters())
        for tie in (True, False)
    )
    return {"weights_share": one / two, "formula_off": abs(architecture(SMALL).parameters / one - 1)}


def experts() -> dict[str, float]:
    """The small model with experts: how many a byte meets, and what it loses on text held out."""
    from shoal.llm import architecture
    from shoal.llm.experts import judged
    from shoal.llm.tiny import tiny

    whole, shape = tiny("mixtral"), architecture(tiny("mixtral").config)
    found = judged(whole.module(), lab.held())
    return {"loss_nats": found.loss_nats, "experts_a_layer": found.products / len(shape.layers),
            "active_share": shape.active_parameters / shape.parameters}  # fmt: skip


def deep_thin() -> dict[str, float]:
    """Two decoders of as many weights, one deep and thin: weights, cache and time of a forward pass."""
    from shoal.llm import architecture
    from shoal.llm.modules import module

    wide = SMALL | {"hidden_size": 272, "intermediate_size": 704, "num_hidden_layers": 2, "num_attention_heads": 4,
                    "num_key_value_heads": 4}  # fmt: skip
    symbols, took = lab.held(2).x, []
    for config in (SMALL, wide):
        model = module(config, seed=0)
        lab.logits(model, symbols)
        begun = time.perf_counter()
        lab.logits(model, symbols)
        took.append(time.perf_counter() - begun)
    deep, flat = architecture(SMALL), architecture(wide)
    return {"weights_ratio": deep.parameters / flat.parameters, "cache_ratio": deep.cache_bytes(1) / flat.cache_bytes(1),
            "time_ratio": took[0] / took[1]}  # fmt: skip


def grouped_queries() -> dict[str, float]:
    """Bytes that a prompt leaves in the cache with two heads of keys and values, over those with six."""
    from shoal.kv.policies.full import Full
    from shoal.llm import architecture
    from shoal.llm.attention import attending
    from shoal.llm.modules import module

    symbols, written, formula = lab.held(1).x, [], []
    for heads in (2, 6):
        config = SMALL | {"num_key_value_heads": heads}
        model = module(config, seed=0)
        with attending(model, Full()) as cache:
            lab.logits(model, symbols, past_key_values=cache)
            written.append(float(cache.traffic().written))
        formula.append(architecture(config).cache_bytes(symbols.size))
    return {"cache_share": written[0] / written[1], "formula_off": abs(formula[0] / formula[1] * 3 - 1)}


def states() -> dict[str, float]:
    """The small state-space model: loss, and that a state carried on answers as the whole text does."""
    from shoal.llm import architecture
    from shoal.llm.tiny import tiny

    whole, text = tiny("mamba2"), lab.held(4)
    model, shape = whole.module(), architecture(whole.config)
    first = text.x[:1]
    torch = transformers_module("torch")
    with torch.no_grad():
        kept = model(torch.from_numpy(first[:, :-1]), use_cache=True)
        last = model(torch.from_numpy(first[:, -1:]), cache_params=kept.cache_params, use_cache=True).logits
    wanted = lab.logits(model, first)[:, -1]
    return {"loss_nats": lab.loss(model, text), "state_growth": shape.cache_bytes(100_000) / shape.cache_bytes(1),
            "carried_off": float(np.abs(last[:, -1].numpy() - wanted).max() / np.abs(wanted).max())}  # fmt: skip


def skipped_experts() -> dict[str, float]:
    """Experts that a byte goes through when the second is skipped where it hardly counts, and what that loses."""
    from shoal import catalog
    from shoal.llm.experts import FAMILY, judged
    from shoal.llm.tiny import tiny

    model, text = tiny("mixtral").module(), lab.held()
    before = judged(model, text)
    catalog.make(FAMILY, "skip_second").apply(model, lab.learned().x)
    after = judged(model, text)
    return {"work_share": after.products / before.products, "loss_rise": after.loss_nats / before.loss_nats - 1}

"""Latent attention absorbed and expanded: the same logits, bytes of the cache, seconds of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.llm import Latent, architecture
from shoal.llm.latent import absorbed, always, kept_bytes
from shoal.llm.latent_cost import absorbed_macs, expanded_macs
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.study._agile_speed import Clock, timed
from shoal.study._deepseek_v3_figures import DEEPSEEK_V3
from shoal.study.contract import Finding, Shown, Table, median_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.tiny import Tiny

STEPS = 16  # tokens decoded one by one after a prompt
WIDE: dict[str, Any] = DEEPSEEK_V3 | {  # one layer of a quarter of its heads
    "vocab_size": 256, "hidden_size": 1024, "intermediate_size": 1024, "num_hidden_layers": 1, "first_k_dense_replace": 1,
    "num_attention_heads": 32, "num_key_value_heads": 32, "q_lora_rank": 512,
}  # fmt: skip


def exact(trained: Tiny, text: np.ndarray, stretches: int) -> Iterator[Shown]:
    """Logits both ways on text that was held out, and the bytes of the cache."""
    torch = transformers_module("torch")
    model, places = trained.module(), 128
    off, largest = 0.0, 0.0
    for at in range(stretches):
        symbols = torch.from_numpy(text[at * places : (at + 1) * places].astype(np.int64))[None]
        wanted = _logits(model, symbols)
        with absorbed(model, always):
            found = _logits(model, symbols)
        off = max(off, float((found - wanted).abs().max()))
        largest = max(largest, float(wanted.abs().max()))
    why = f"a prompt at once, then {STEPS} bytes one by one; the largest logit is {largest:.3g}"
    yield Finding("absorbed", off, "measured", stretches * places, why=why)
    yield from _kept(trained, model)


def _kept(trained: Tiny, model: PreTrainedModel) -> Iterator[Shown]:
    torch = transformers_module("torch")
    rows, told = [], architecture(trained.config)
    for tokens in (1, 100, 500):
        with torch.no_grad(), absorbed(model):
            held = model(torch.zeros(1, tokens, dtype=torch.int64), use_cache=True).past_key_values
        rows.append((tokens, kept_bytes(held), told.cache_bytes(tokens, 4)))
    yield Finding("kept", all(found == wanted for _, found, wanted in rows), "measured", len(rows), why="float32")
    yield Table("Bytes of the cache", ("tokens", "of its tensors", "by the formula"), rows)


def decode(trained: Tiny, tokens: int, rounds: int) -> Iterator[Shown]:
    """A step after so many tokens, both ways in turn: the trained model, and one wider layer."""
    wide = module(WIDE, seed=0)
    clocks = {"trained": _step(trained.module(), tokens, rounds), "wide layer": _step(wide, tokens, rounds)}
    rows = []
    for name, config in (("trained", trained.config), ("wide layer", WIDE)):
        mixer = architecture(config).layers[0].mixer
        assert isinstance(mixer, Latent)
        fewer = expanded_macs(mixer, 1, tokens) / absorbed_macs(mixer, 1, tokens)
        prompt = expanded_macs(mixer, tokens, tokens) / absorbed_macs(mixer, tokens, tokens)
        clock = clocks[name]
        rows.append((name, clock.ms("expanded"), clock.ms("absorbed"), fewer, prompt))
    columns = ("", "expanded, ms", "absorbed, ms", "MACs of a step, expanded / absorbed", "of a prompt")
    yield Table(
        f"A step after {tokens} tokens", columns, rows, "all of the model; MACs are those of attention alone"
    )
    for key, name in (("decode", "trained"), ("decode_wide", "wide layer")):
        why = f"after {tokens} tokens, both ways in turn"
        yield median_of(key, clocks[name].gains("expanded", "absorbed"), "measured", why)


def _step(model: PreTrainedModel, tokens: int, rounds: int) -> Clock:
    """One more token, which is forgotten again."""
    torch = transformers_module("torch")
    symbols = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, tokens)))
    cache: Any = None
    with torch.inference_mode():
        for part in symbols.split(512, dim=1):
            cache = model(part, past_key_values=cache, use_cache=True, logits_to_keep=1).past_key_values

    def step(way: Any) -> None:
        with torch.inference_mode(), way:
            model(symbols[:, :1], past_key_values=cache, use_cache=True)
        cache.crop(-1)

    return timed({"expanded": lambda: step(nullcontext()), "absorbed": lambda: step(absorbed(model))}, rounds)


def _logits(model: PreTrainedModel, symbols: Any) -> Any:
    torch = transformers_module("torch")
    with torch.inference_mode():
        out = model(symbols[:, :-STEPS], use_cache=True)
        found = [out.logits]
        for at in range(symbols.shape[1] - STEPS, symbols.shape[1]):
            out = model(symbols[:, at : at + 1], past_key_values=out.past_key_values, use_cache=True)
            found.append(out.logits)
    return torch.cat(found, dim=1)

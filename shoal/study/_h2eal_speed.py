"""Time of real decoding with H2EAL's cache, in alternating blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from shoal.kv.policies.contract import Policy
from shoal.kv.policies.full import Full
from shoal.kv.policies.hybrid import Hybrid
from shoal.llm.attention import empty_cache, generate, using
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.study.contract import Finding, Shown, Table, median_of
from shoal.train.language import corpus

OWN = "transformers"


@dataclass(frozen=True, eq=False)
class Long:
    """A decoder with seeded weights and a long text in its cache: speed does not ask what weights mean."""

    context: int  # tokens in the cache
    layers: int
    rounds: int  # of all ways in turn
    steps: int  # tokens of a block
    seed: int
    kv_heads: int = 8
    head: int = 64

    @cached_property
    def model(self) -> Any:
        """Of Llama's kind."""
        width = self.kv_heads * self.head // 2
        config = {"model_type": "llama", "vocab_size": 256, "hidden_size": width, "num_hidden_layers": self.layers,
                  "head_dim": self.head,
                  "num_attention_heads": self.kv_heads, "num_key_value_heads": self.kv_heads,
                  "intermediate_size": 2 * width, "max_position_embeddings": 4 * self.context}  # fmt: skip
        return module(config, seed=self.seed, attention="sdpa")

    def hybrid(self) -> Hybrid:
        """Half of the heads streaming, a quarter of the context in pages for the others."""
        streaming = tuple(tuple(range(0, self.kv_heads, 2)) for _ in range(self.layers))
        ends = {"sink": 16, "recent": 32} if self.context < 2048 else {}
        return Hybrid(streaming, budget=self.context // 4, dense=0, **ends)

    def shown(self) -> Iterator[Shown]:
        """The clock, and the bytes."""
        policies: dict[str, Policy] = {"full": Full(), "half streaming": self.hybrid()}
        torch = transformers_module("torch")
        with torch.no_grad():
            caches = self._filled(policies)
            taken: dict[str, list[float]] = {name: [] for name in caches}
            for _ in range(self.rounds):
                for name, cache in caches.items():
                    taken[name].append(self._block(name, cache))
        gains = [full / own for full, own in zip(taken["full"], taken["half streaming"], strict=True)]
        yield median_of("decode", gains, "measured", why=f"whole steps of {self.layers} layers after a prefill that is "
                        f"dense; blocks of {self.steps} tokens in turn")  # fmt: skip
        read = {name: caches[name].traffic().read / self.rounds / self.steps for name in policies}
        yield Table(f"Decoding at {self.context} tokens of context", ("", "tokens/s", "bytes of the cache a token"), [
            (name, self.steps / median(took), read.get(name)) for name, took in taken.items()
        ], f"{self.layers} layers, {self.kv_heads} heads of {self.head}, one core, float32; transformers: its own cache "
           "and attention")  # fmt: skip

    def _filled(self, policies: Mapping[str, Policy]) -> dict[str, Any]:
        """One prefill, whose keys and values all caches get; the stores' counts begin after it."""
        torch, library = transformers_module("torch"), transformers_module()
        text = torch.from_numpy(corpus()[0][: self.context].astype(np.int64)[None])
        own = library.DynamicCache()
        self.model(text, past_key_values=own, logits_to_keep=1)
        found: dict[str, Any] = {OWN: own}
        for name, policy in policies.items():
            cache = found[name] = empty_cache(self.model, policy)
            for layer, store in enumerate(cache.stores):
                held = own.layers[layer]
                cache.update(held.keys, held.values, layer)
                store.evict()
            cache.traffic()
        return found

    def _block(self, name: str, cache: Any) -> float:
        """Seconds of some tokens."""
        torch = transformers_module("torch")
        token = torch.tensor([[65]])
        with nullcontext() if name == OWN else using(self.model, cache):
            begun = time.perf_counter()
            for _ in range(self.steps):
                token = self.model(token, past_key_values=cache).logits.argmax(dim=-1)
            return time.perf_counter() - begun


def overhead(model: Any, prompt: int, new: int, rounds: int) -> Finding:
    """What our full cache costs beside transformers' own `generate`, per cent of its time."""
    torch = transformers_module("torch")
    tokens = corpus()[1][:prompt].astype(np.int64)[None]
    given = torch.from_numpy(tokens)

    def plain() -> object:
        return model.generate(given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=new,
                              min_new_tokens=new, pad_token_id=0)  # fmt: skip

    def own() -> object:
        return generate(model, tokens, Full(), new)

    more = []
    with torch.no_grad():
        plain(), own()
        for at in range(rounds):
            order: list[Callable[[], object]] = [plain, own] if at % 2 else [own, plain]
            took = {each: _clocked(each) for each in order}
            more.append(100 * (took[own] / took[plain] - 1))
    return median_of("overhead", more, "measured", why=f"{new} tokens after {prompt}, blocks in turn")


def _clocked(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun

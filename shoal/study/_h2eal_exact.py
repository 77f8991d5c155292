"""What of H2EAL must hold exactly: logits and text, merged tiles, bounds of pages, bytes by formula, bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kv.merging import merged, partial
from shoal.kv.policies.contract import Head, Policy
from shoal.kv.policies.full import Full
from shoal.kv.policies.hybrid import Hybrid
from shoal.kv.policies.pages import Paged, Pages
from shoal.kv.policies.quantised import Quantised
from shoal.kv.policies.sliding import Sliding
from shoal.kv.policies.streaming import Streaming
from shoal.kv.policies.tiled import Tiled
from shoal.llm.attention import Gates, attending, generate
from shoal.llm.checkpoint import opened
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.study._repository import beside

I64 = NDArray[np.int64]
WHOLE = 1 << 20  # a budget beyond any context here
EXACT: Mapping[str, Policy] = {
    "full": Full(),
    "pages, budget ≥ context": Pages(budget=WHOLE, dense=0),
    "hybrid, ratio 1": Hybrid(budget=WHOLE, dense=0),
    "tiled": Tiled(tiles=64),  # more than there are pages: some are empty
}


@dataclass(frozen=True)
class Agreement:
    """How far mechanisms are from the model's own attention."""

    logits: Mapping[str, float]  # by mechanism: largest difference, as a share of the largest logit
    texts: Mapping[str, bool]  # the same greedy text


def agreement(model: Any, prompt: I64, new: int) -> Agreement:
    """Run every exact mechanism on a prompt (places,), each new token by itself."""
    torch = transformers_module("torch")
    given = torch.from_numpy(prompt[None])
    with torch.no_grad():
        wanted = model.generate(given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=new,
                                min_new_tokens=new, pad_token_id=0)  # fmt: skip
        plain = model(wanted[:, :-1]).logits[:, len(prompt) - 1 :]
    logits, texts = {}, {}
    for name, policy in EXACT.items():
        texts[name] = bool((generate(model, prompt[None], policy, new) == wanted.numpy()).all())
        found = torch.cat([each for each, _ in stepped(model, policy, wanted[0, :-1].numpy(), len(prompt))], dim=1)
        logits[name] = float((found - plain).abs().max() / plain.abs().max())
    return Agreement(logits, texts)


def stepped(model: Any, policy: Policy, tokens: I64, prompt: int) -> Iterator[tuple[Any, int]]:
    """The logits of the prompt's last token and of each further one, which come one by one, and the bytes each read."""
    torch = transformers_module("torch")
    given = torch.from_numpy(tokens[None])
    with torch.no_grad(), attending(model, policy) as cache:
        first = model(given[:, :prompt], past_key_values=cache).logits[:, -1:]
        yield first, cache.traffic().read
        for at in range(prompt, len(tokens)):
            yield model(given[:, at : at + 1], past_key_values=cache).logits, cache.traffic().read


def bytes_off(model: Any, tokens: I64, prompt: int) -> dict[str, float]:
    """By policy the largest difference of bytes read in a step from its formula, in per cent."""
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    heads = [
        (layer, head) for layer in range(config.num_hidden_layers) for head in range(config.num_key_value_heads)
    ]
    found = {}
    for name, policy in _narrow(prompt).items():
        shares = []
        for at, (_, read) in enumerate(stepped(model, policy, tokens, prompt)):
            wanted = sum(policy.read_bytes(prompt + at, Head(width, width), *each) for each in heads)
            shares.append(abs(read / wanted - 1) if at else 0.0)
        found[name] = 100 * max(shares)
    return found


def tiles_off(places: int, rounds: int, seed: int) -> float:
    """The largest difference of merged tiles from attention in one go, over random splits with an empty tile."""
    torch, source = transformers_module("torch"), np.random.default_rng(seed)
    worst = 0.0
    for _ in range(rounds):
        queries, keys, values = (
            torch.from_numpy(source.standard_normal((4, count, 32)).astype(np.float32))
            for count in (2, places, places)
        )
        whole = (queries @ keys.mT).softmax(dim=-1) @ values
        tile = torch.from_numpy(source.integers(0, 15, places))
        parts = [partial(queries, keys[:, tile == at], values[:, tile == at], 1.0) for at in range(16)]
        order = [parts[int(at)] for at in source.permutation(16)]
        worst = max(worst, float((merged(order).output - whole).abs().max()))
    return worst


def bounds_hold(model: Any, tokens: I64, page: int, seed: int) -> tuple[bool, int]:
    """Whether no key of a page gives more than its bound, for keys of a text and queries that are drawn; and how many."""
    torch, count = transformers_module("torch"), 0
    holds = True
    with torch.no_grad(), attending(model, Pages(page=page, dense=0)) as cache:
        model(torch.from_numpy(tokens[None]), past_key_values=cache)
    draw = torch.Generator().manual_seed(seed)
    for store in cache.stores:
        assert isinstance(store, Paged)
        keys = store.keys.used
        queries = torch.randn((*keys.shape[:2], 8, keys.shape[3]), generator=draw)
        products = (queries @ keys.mT).amax(dim=2)
        bounds = store.scores(queries).repeat_interleave(page, dim=2)[:, :, : products.shape[2]]
        holds &= bool((bounds >= products - 1e-4).all())
        count += bounds.numel()
    return holds, count


def refusals() -> dict[str, bool]:
    """Bad input, and whether it was refused."""
    gates = Gates(np.zeros((2, 8), np.float32))
    attempts: Mapping[str, Callable[[], object]] = {
        "pages of no tokens": lambda: Pages(page=0),
        "a page budget below the sink": lambda: Pages(budget=64, sink=64),
        "… of a hybrid": lambda: Hybrid(budget=64, sink=64),
        "a ratio above 1": lambda: gates.streaming(1.1),
        "a ratio below 0": lambda: gates.streaming(-0.1),
        "a cache of 3 bits": lambda: Quantised(bits=3),  # type: ignore[arg-type]  # which is the point
    }
    return {name: _refused(attempt) for name, attempt in attempts.items()}


def gemma() -> Any:
    """Gemma-3-270M of its GGUF file, in float32.

    Raises:
        InputError: the file cannot be had, or the package stands without its repository.
    """
    found = opened(beside("examples.models.gemma3").file())
    weights = {f"model.{name}": found.weights.read(name).matrix for name in found.weights.names()}
    return module(found.config, weights, attention="sdpa")


def worst(found: Sequence[Agreement]) -> float:
    """The largest difference of all."""
    return max(off for each in found for off in each.logits.values())


def _narrow(prompt: int) -> dict[str, Policy]:
    """Policies that read less than all, and those that read everything."""
    page = 16
    budget = max(2, prompt // page // 4) * page
    pages = Pages(page, budget, sink=4, dense=0)
    mixed = Hybrid(((0, 2), (1,), (), (0, 1)), page, budget, sink=4, recent=28, dense=0)
    return {"full": Full(), "tiled": Tiled(), "sliding": Sliding(32), "streaming": Streaming(4, 28), "pages": pages,
            "hybrid": mixed, "int8": Quantised(8), "int4": Quantised(4)}  # fmt: skip


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except InputError:
        return True
    return False

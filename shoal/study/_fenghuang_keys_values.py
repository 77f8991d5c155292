"""A text whose keys and values lie in a file, block by block, against the same in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.llm.offload.keys_values import Blocks, paged_cache
from shoal.llm.tiny import tiny
from shoal.study import Bench, Finding, Shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SEEN, NEW, BLOCK = 256, 32, 16  # tokens
RECORDS = 4  # in memory at once


def keys_values(bench: Bench) -> Iterator[Shown]:
    """Logits of a prompt and of tokens after it, both ways."""
    from transformers import DynamicCache

    bench.say("keys and values in a file")
    made = tiny("llama")
    model, blocks = made.module(), Blocks.of(made.config, SEEN + NEW, BLOCK)
    with (
        tempfile.TemporaryDirectory() as folder,
        paged_cache(blocks, Path(folder, "blocks"), RECORDS * blocks.record_bytes) as cache,
    ):
        paged, told = _logits(model, cache), cache.store.told()
        written_bytes = cache.written_bytes
    share = 100 * told.peak_bytes / written_bytes
    yield Finding("kv", paged == _logits(model, DynamicCache()), "measured", NEW,
                  why=f"{share:.3g} % of {written_bytes / 1e6:.3g} MB in memory at once, beside the layer that attends")  # fmt: skip
    yield Finding("kv_held", told.peak_bytes / told.budget_bytes, "measured", told.records_read)


def _logits(model: PreTrainedModel, cache: Any) -> list[list[float]]:
    import torch

    found, symbols = list[list[float]](), torch.tensor([[(7 * at) % 256 for at in range(SEEN)]])
    with torch.no_grad():
        for _ in range(NEW):
            last = model(symbols, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
            found.append(last.tolist())
            symbols = last.argmax().view(1, 1)
    return found

"""Keys and values in a store: blocks of tokens, written once they are whole, read again when their layer attends.

Exact: attention reads the numbers that it would read from memory. In memory are the newest tokens of each layer, whose
block is not whole yet, the records of the store's budget, and the one layer that attends, put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal import catalog
from shoal.errors import InputError
from shoal.llm.library import transformers_module
from shoal.store import POLICIES, FileTier, Key, TensorStore, Throttled, Tier, write_file
from shoal.store.values import Arrays, laid_out

if TYPE_CHECKING:
    from shoal.llm.offload._paged import PagedCache

KEYS, VALUES = "keys", "values"


@dataclass(frozen=True)
class Blocks:
    """What a file of keys and values has room for, in float32."""

    layers: int
    heads: int  # of keys and values
    width: int  # of a head
    tokens: int  # at most; of the last block only as many as make it whole are written
    block: int = 64  # tokens
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.width, self.block, self.batch) < 1 or self.tokens < self.block:
            raise InputError("keys and values come in blocks of tokens", where="blocks", had=str(self))

    @classmethod
    def of(cls, config: Mapping[str, Any], tokens: int, block: int = 64, batch: int = 1) -> Blocks:
        """Of a configuration as Hugging Face has it."""
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            config["num_hidden_layers"], config.get("num_key_value_heads") or heads, width, tokens, block, batch
        )

    @property
    def each(self) -> int:
        """Blocks of a layer."""
        return self.tokens // self.block

    @property
    def record_bytes(self) -> int:
        """Of one block."""
        return laid_out(*next(self.records()), 0)[0].bytes

    def records(self) -> Iterator[tuple[Key, Arrays]]:
        """All of them, with nothing in them as yet."""
        nothing = np.zeros((self.batch, self.heads, self.block, self.width), np.float32)
        for layer in range(self.layers):
            for number in range(self.each):
                yield Key(layer, number), {KEYS: nothing, VALUES: nothing}


@contextmanager
def paged_cache(
    blocks: Blocks, path: Path, budget_bytes: int, policy: str = "cyclic", *, read_bytes_per_s: float = 0.0
) -> Iterator[PagedCache]:
    """A cache for one text, to be passed to a model as `past_key_values` inside the block.

    Args:
        blocks: room.
        path: of the file, which is made anew and stays.
        budget_bytes: for records in memory: at least one, and one more to read ahead.
        policy: of `store/policies`.
        read_bytes_per_s: that the file is held to (emulated); 0: what the disk gives.

    Raises:
        LimitError: the budget does not hold one block.
        WorkError: the file cannot be written.
        MissingExtra: transformers is not installed.
    """
    made = transformers_module("shoal.llm.offload._paged")
    write_file(blocks.records(), path)
    file = FileTier(path, writable=True, name="disk")
    tier: Tier = Throttled(file, read_bytes_per_s) if read_bytes_per_s else file
    with TensorStore(tier, budget_bytes, catalog.make(POLICIES, policy)) as store:
        yield made.PagedCache(blocks, file, store)

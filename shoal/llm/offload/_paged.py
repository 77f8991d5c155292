"""Layers of transformers' cache whose blocks are records of a store."""

from __future__ import annotations

import mmap
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from shoal.errors import InputError, LimitError
from shoal.llm.offload.keys_values import KEYS, VALUES, Blocks
from shoal.store import FileTier, Key, TensorStore


class PagedLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is typed in part
    """One layer: blocks that are whole lie in the file, the newest tokens here."""

    def __init__(self, at: int, cache: PagedCache) -> None:
        super().__init__()
        self.at, self.whole, self._cache = at, 0, cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Begin with no token."""
        self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put the layer together with what is new, and page out blocks that are whole now."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = torch.cat([self.keys, key_states], -2)
        self.values = torch.cat([self.values, value_states], -2)
        found, size = self._together(), self._cache.blocks.block
        new = self.keys.shape[-2] // size
        for number in range(new):
            place = slice(number * size, (number + 1) * size)
            self._cache.write(
                Key(self.at, self.whole + number), self.keys[..., place, :], self.values[..., place, :]
            )
        if new:  # copies: a view would keep the memory of all tokens before it
            self.keys, self.values = (
                self.keys[..., new * size :, :].clone(),
                self.values[..., new * size :, :].clone(),
            )
        self.whole += new
        return found

    def get_seq_length(self) -> int:
        """All tokens so far."""
        newest = self.keys.shape[-2] if self.is_initialized else 0
        return self.whole * self._cache.blocks.block + int(newest)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Masks are of all tokens."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """What the file has room for, and the newest."""
        return self._cache.blocks.tokens

    def reset(self) -> None:
        """Refuse to write what has been read."""
        raise InputError("a paged cache is of one text", hint="make another")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Refuse what beams would need."""
        raise InputError("a paged cache does not follow beams", hint="num_beams=1")

    def _together(self) -> tuple[Tensor, Tensor]:
        size, length = self._cache.blocks.block, self.get_seq_length()
        shape = (*self.keys.shape[:-2], length, self.keys.shape[-1])
        keys, values = self.keys.new_empty(shape), self.values.new_empty(shape)
        for number in range(self.whole):
            place = slice(number * size, (number + 1) * size)
            with self._cache.store.hold([Key(self.at, number)], self._cache.after(self.at, number)) as (arrays,):
                keys[..., place, :] = torch.from_numpy(arrays[KEYS])
                values[..., place, :] = torch.from_numpy(arrays[VALUES])
        keys[..., self.whole * size :, :], values[..., self.whole * size :, :] = self.keys, self.values
        return keys, values


class PagedCache(Cache):  # type: ignore[misc]  # transformers is typed in part
    """All layers, their file and the store that reads it."""

    layers: list[PagedLayer]

    def __init__(self, blocks: Blocks, file: FileTier, store: TensorStore) -> None:
        super().__init__(layers=[PagedLayer(at, self) for at in range(blocks.layers)])
        self.blocks, self.store, self.written_bytes = blocks, store, 0
        self._file = file

    def write(self, key: Key, keys: Tensor, values: Tensor) -> None:
        """Page a block out; it has never been read.

        Raises:
            LimitError: there is no room for so many tokens.
            WorkError: the file cannot be written, as when the disk is full.
        """
        if key.part >= self.blocks.each:
            raise LimitError("the file of keys and values is full", where=f"layer {key.layer}",
                             needed=f"{(key.part + 1) * self.blocks.block} tokens", had=f"{self.blocks.tokens}")  # fmt: skip
        record = self._file.records[key]
        data = memoryview(mmap.mmap(-1, record.bytes))
        views = record.views(data)
        views[KEYS][:], views[VALUES][:] = keys.numpy(), values.numpy()
        self._file.write(key, data)
        self.written_bytes += record.bytes

    def after(self, layer: int, number: int) -> list[Key]:
        """The block that is read next: this layer's, or the first of the next one that has any."""
        if number + 1 < self.layers[layer].whole:
            return [Key(layer, number + 1)]
        others = [*self.layers[layer + 1 :], *self.layers[: layer + 1]]
        return [Key(each.at, 0) for each in others if each.whole][:1]

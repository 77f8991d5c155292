"""Rows of caches as transformers' cache: each row is a text, as long as that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Seats:
    """Which rows the tokens of a step are of, and where in them; the same for all layers."""

    rows: int  # there are
    places: int  # of a row
    at: Tensor  # (n,), rows of the step
    tokens: Tensor  # (n, t), places of its tokens

    @property
    def longest(self) -> int:
        """Places that any of these tokens sees."""
        return int(self.tokens.max()) + 1


class RowLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is typed in part
    """Keys and values of one layer; what a row kept of an earlier text is written over before it is seen."""

    def __init__(self, seats: Seats) -> None:
        super().__init__()
        self._seats = seats

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Room for all rows."""
        self.keys, self.values = (
            each.new_zeros(self._seats.rows, each.shape[1], self._seats.places, each.shape[3])
            for each in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write where the step's tokens are; all that the longest of its rows has comes back, of each of its rows."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        seats = self._seats
        for kept, new in ((self.keys, key_states), (self.values, value_states)):
            kept[seats.at[:, None], :, seats.tokens] = new.transpose(1, 2)
        keys, values = (each[seats.at, :, : seats.longest] for each in (self.keys, self.values))
        return keys, values

    def get_seq_length(self) -> int:
        """Unknown: rows differ, and whoever asks is given places instead."""
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """As long as the step's longest row."""
        return self._seats.longest, 0

    def get_max_length(self) -> int:
        """Of a row."""
        return self._seats.places


class RowCache(Cache):  # type: ignore[misc]  # transformers is typed in part
    """The layers of all rows."""

    def __init__(self, rows: int, places: int) -> None:
        nobody = torch.zeros(0, dtype=torch.long)
        self.seats = Seats(rows, places, nobody, nobody[:, None])
        super().__init__(layer_class_to_replicate=partial(RowLayer, self.seats))

    def turn(self, at: Tensor, tokens: Tensor) -> Tensor:
        """Make these rows and places the step's; gives what its tokens see, (n, 1, t, longest), 0 or far below it."""
        self.seats.at, self.seats.tokens = at, tokens
        seen = torch.arange(self.seats.longest) <= tokens[..., None]
        return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]

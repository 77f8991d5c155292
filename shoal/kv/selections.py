"""Which pages of a cache each head read at each step of a generation: recorded once, replayed by machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import InputError

Pages = NDArray[np.int64]  # indices of pages, ascending; page i holds the tokens from i · page


@dataclass(frozen=True, eq=False)
class Selections:
    """The pages that were read; the newest one, perhaps not full, is always among them.

    Raises:
        InputError: classes, steps or pages that do not fit the sizes.
    """

    page: int  # tokens of one
    context: int  # tokens that were held before the first step; each step adds one
    layers: int
    kv_heads: int  # of a layer
    head: int  # width of one
    streaming: NDArray[np.bool_]  # (layers, kv_heads): reads the first and the last tokens only, and no pages
    steps: Sequence[Sequence[Sequence[Pages]]]  # by step, layer, KV head; of a streaming head none
    sink: int = 64  # first tokens that a streaming head reads
    recent: int = 256  # last tokens that it reads

    def __post_init__(self) -> None:
        for name in ("page", "context", "layers", "kv_heads", "head"):
            if getattr(self, name) < 1:
                raise InputError(f"selections with {name} {getattr(self, name)}", needed="at least 1")
        if self.streaming.shape != (self.layers, self.kv_heads):
            raise InputError("classes that are not of these heads", needed=f"{self.layers} × {self.kv_heads}",
                             had=" × ".join(map(str, self.streaming.shape)))  # fmt: skip
        for at, step in enumerate(self.steps):
            if len(step) != self.layers or any(len(layer) != self.kv_heads for layer in step):
                raise InputError("a step that is not of these heads", where=f"step {at}")
            if any(len(found) and not 0 <= found.min() <= found.max() < self.pages(at) for layer in step
                   for found in layer):  # fmt: skip
                raise InputError("a page that is not there", where=f"step {at}", needed=f"below {self.pages(at)}")

    def tokens(self, step: int) -> int:
        """Tokens that are held at a step, the new one included."""
        return self.context + step + 1

    def pages(self, step: int) -> int:
        """Pages that are held at a step, the newest included."""
        return -(-self.tokens(step) // self.page)

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            InputError: it cannot be written.
        """
        steps = [[[found.tolist() for found in layer] for layer in step] for step in self.steps]
        codec.save(_File(self.page, self.context, self.layers, self.kv_heads, self.head, self.streaming.tolist(),
                         steps, self.sink, self.recent), path)  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Selections:
        """What `save` wrote.

        Raises:
            InputError: it is not such a file.
        """
        read = codec.load(_File, path)
        steps = [[[np.array(found, np.int64) for found in layer] for layer in step] for step in read.steps]
        return cls(read.page, read.context, read.layers, read.kv_heads, read.head,
                   np.array(read.streaming, bool), steps, read.sink, read.recent)  # fmt: skip


@dataclass(frozen=True)
class _File:
    """The form on disk."""

    page: int
    context: int
    layers: int
    kv_heads: int
    head: int
    streaming: list[list[bool]]
    steps: list[list[list[list[int]]]]
    sink: int
    recent: int

"""The blocks of an architecture: their work, their weights, what they keep."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.errors import InputError
from shoal.graph import Graph, Tensor
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.blocks._row import Held, Kept, Row
from shoal.llm.blocks._stored import bits, stored_bytes
from shoal.llm.config import architecture_of, read
from shoal.llm.parts import Dense, Experts, Latent, Mixer

ENDS = "float16"  # embedding, last norm and head where layers have fewer bits, as published files have them


@dataclass(frozen=True)
class Step:
    """What an item brings of each of its sequences, and how the blocks are cut."""

    batch: int  # sequences
    tokens: int  # new ones of each
    seen: int  # by the last of them, itself included
    weights: str  # format of the layers'
    experts: int  # of one block at most
    heads: int  # blocks that the head is cut into, over the symbols

    def __post_init__(self) -> None:
        for name in ("batch", "tokens", "seen", "experts", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"'{name}' is out of range", needed="at least 1", had=str(getattr(self, name)))

    @property
    def places(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.tokens


def graph_of(config: str | Path | Mapping[str, Any], step: Step, entry: str) -> Graph:
    """The graph of a configuration.

    Args:
        config: as `architecture` takes it.
        step: what an item brings.
        entry: the technique as it is spelled.

    Raises:
        ModelError: the configuration does not say what is needed.
        InputError: more tokens than the model takes, or no such format.
    """
    found = read(config)
    model = architecture_of(found)
    if step.seen > model.context:
        raise InputError("a context beyond the model", where=found.source, needed=f"at most {model.context:,} tokens",
                         had=f"{step.seen:,}")  # fmt: skip
    content = codec.encode((dict(found.entries), entry))
    name = f"{model.kind}-{entry.partition(':')[0]}"
    return _Maker(model, step).row().graph(name, found.source, hashlib.sha256(content).hexdigest())


class _Maker:
    """Makes the row of one architecture."""

    def __init__(self, model: Architecture, step: Step) -> None:
        self._model, self._step, self._width = model, step, model.width
        whole = step.weights in ("float32", "float16", "bfloat16")
        self._bits, self._end_bits = bits(step.weights, self._width), bits(step.weights if whole else ENDS, 1)
        self._shape = (step.batch, step.tokens, self._width)
        dtype = "float32" if step.weights == "float32" else "float16"
        self._row = Row(dtype, Tensor("symbols", "int32", (step.batch, step.tokens)))

    def row(self) -> Row:
        """All blocks."""
        slices = [Held(f"embedding.{at}", size) for at, size in enumerate(self._slices())]
        one = stored_bytes(self._width, self._end_bits)
        self._row.block("embedding", "Embedding", self._shape, 0, slices, met_bytes=self._step.places * one)
        for at, layer in enumerate(self._model.layers):
            self._layer(f"layers.{at}", layer)
        self._head()
        return self._row

    def _layer(self, at: str, layer: Layer) -> None:
        """The norms are shared out between the layer's two parts."""
        mixer, product = layer.mixer, layer.product
        before = layer.norms - layer.norms // 2 if product else layer.norms
        if mixer:
            self._mixer(f"{at}.mixer", mixer, before)
        rest = (layer.norms - before * bool(mixer)) * self._width
        if isinstance(product, Experts):
            self._routed(at, product, rest)
        elif product:
            macs = self._step.places * product.macs(self._width)
            held = self._held(f"{at}.product", product.parameters(self._width) + rest)
            self._row.block(f"{at}.product", type(product).__name__, self._shape, macs, [held])

    def _mixer(self, name: str, mixer: Mixer, norms: int) -> None:
        step = self._step
        macs = sum(self._macs(mixer, seen) for seen in range(step.seen - step.tokens + 1, step.seen + 1))
        held = self._held(name, mixer.parameters(self._width) + norms * self._width)
        kept = Kept(
            (step.batch, mixer.cached(step.seen)),
            read=step.batch * mixer.cached(step.seen - step.tokens),
            written=step.batch * mixer.cached(step.tokens),
        )
        self._row.block(name, type(mixer).__name__, self._shape, step.batch * macs, [held], kept=kept)

    def _macs(self, mixer: Mixer, seen: int) -> int:
        """Of one token; a single new one meets what is kept as it is, without expanding it."""
        if isinstance(mixer, Latent) and self._step.tokens == 1:
            return mixer.absorbed(self._width, seen)
        return mixer.macs(self._width, seen)

    def _routed(self, at: str, experts: Experts, rest: int) -> None:
        """Norm, choice and shared experts, then the others in several blocks."""
        places, width = self._step.places, self._width
        for_all = Dense(experts.shared).parameters(width) + width * experts.count
        one = Dense(experts.hidden).parameters(width)
        held = self._held(f"{at}.router", for_all + experts.count * experts.corrected + rest)
        along = (*self._shape[:-1], 2 * width + 2 * experts.chosen)
        self._row.block(f"{at}.router", "Router", along, places * for_all, [held])
        met = met_share(experts, places)
        bounds = [*range(0, experts.count, self._step.experts), experts.count]
        for first, end in pairwise(bounds):
            chosen = [places * experts.chosen * one * each // experts.count for each in (first, end)]
            held = self._held(name := f"{at}.experts.{first}-{end - 1}", one * (end - first))
            shape = self._shape if end == experts.count else along
            self._row.block(
                name, "Experts", shape, chosen[1] - chosen[0], [held], met_bytes=round(held.bytes * met)
            )

    def _head(self) -> None:
        """The last token of each sequence, normed, meets the symbols; a block hands on it and the logits so far."""
        batch, width = self._step.batch, self._width
        norm = Held("norm", stored_bytes(width, self._end_bits))
        last_bytes = batch * width * (4 if self._row.dtype == "float32" else 2)
        end = 0
        for at, symbols in enumerate(self._symbols()):
            whole = Held(f"{'embedding' if self._model.tied else 'head'}.{at}", self._slices()[at])
            end += symbols
            shape = (batch, end + (width if end < self._model.vocabulary else 0))
            self._row.block(
                f"head.{at}" if self._step.heads > 1 else "head", "Head", shape, batch * width * symbols,
                [whole, *[norm][at:]], read_bytes=None if at else last_bytes,
            )  # fmt: skip

    def _symbols(self) -> list[int]:
        """How many each block of the head has."""
        bounds = [at * self._model.vocabulary // self._step.heads for at in range(self._step.heads + 1)]
        return [after - before for before, after in pairwise(bounds)]

    def _slices(self) -> list[int]:
        """Bytes of the vectors of each of these."""
        return [stored_bytes(symbols * self._width, self._end_bits) for symbols in self._symbols()]

    def _held(self, name: str, weights: int) -> Held:
        return Held(f"{name}.weights", stored_bytes(weights, self._bits))


def met_share(experts: Experts, places: int) -> float:
    """Share of the experts that at least one of so many tokens is expected to choose, each as likely as another."""
    missed = 1 - experts.chosen / experts.count
    return 1 - missed**places

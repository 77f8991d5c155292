"""A trained model's weights as a store on this machine's disk: written once, kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import cache, codec
from shoal.errors import InputError, ModelError
from shoal.llm.checkpoint import Kept, prepared
from shoal.llm.checkpoint.stored import HEAD, matrices
from shoal.llm.offload.laid import TILE_BYTES, Laid, laid, shapes_of, write_weights
from shoal.llm.offload.skeleton import in_order_of_use
from shoal.llm.tiny import Tiny
from shoal.store import FileTier

VERSION = 3
WEIGHTS = "weights.store"


@dataclass(frozen=True)
class Facts:
    """What a store of weights says of itself, in its index."""

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    tile_bytes: int

    @property
    def laid(self) -> Laid:
        """Which key holds what."""
        return laid(self.shapes, self.tile_bytes)


@dataclass(frozen=True)
class Stored:
    """Weights in a file of records, in float32."""

    path: Path
    facts: Facts

    @property
    def laid(self) -> Laid:
        """Which key holds what."""
        return self.facts.laid


def stored(path: str | Path, tile_bytes: int = TILE_BYTES) -> tuple[Stored, Kept]:
    """The weights of a trained model, and what its tokens mean; the first time all of them are in memory at once.

    Raises:
        ModelError: there is no such model, or its kind cannot be read.
        InputError: the cache cannot be written.
    """
    kept = prepared(path)

    def build(folder: Path) -> None:
        found = {name if name.startswith(HEAD) else f"model.{name}": each for name, each in matrices(kept).items()}
        _write(_facts(kept.facts.config, found, tile_bytes), found, folder)

    return _kept(kept.folder.name, tile_bytes, build), kept


def stored_tiny(model: Tiny, tile_bytes: int = TILE_BYTES) -> Stored:
    """The same of a small model that comes with shoal."""
    digest = hashlib.sha256(codec.encode(dict(model.config)))
    for name, each in model.weights.items():
        digest.update(name.encode() + each.tobytes())
    facts = _facts(model.config, model.weights, tile_bytes)
    return _kept(digest.hexdigest(), tile_bytes, lambda folder: _write(facts, model.weights, folder))


def stored_at(path: Path) -> Stored:
    """The weights in a file of records.

    Raises:
        ModelError: no store, a damaged one, or one of something else.
    """
    tier = FileTier(path)
    tier.close()
    return Stored(path, facts_of(tier.about, str(path)))


def facts_of(about: str, where: str) -> Facts:
    """What a store of weights says of itself.

    Raises:
        ModelError: it holds something else.
    """
    try:
        return codec.decode(Facts, about.encode(), where)
    except InputError as fault:
        raise ModelError("a store of something else than a decoder's weights", where=where) from fault


def _kept(name: str, tile_bytes: int, build: Any) -> Stored:
    key = hashlib.sha256(codec.encode((VERSION, name, tile_bytes))).hexdigest()
    folder = cache.entry("stores", key, build, cache.MOST_BYTES)
    return stored_at(folder / WEIGHTS)


def _facts(config: Mapping[str, Any], weights: Mapping[str, Any], tile_bytes: int) -> Facts:
    return Facts(config, in_order_of_use(config, shapes_of(weights)), tile_bytes)


def _write(facts: Facts, weights: Mapping[str, Any], folder: Path) -> None:
    about = codec.encode(facts).decode()
    write_weights(facts.shapes, weights.__getitem__, folder / WEIGHTS, facts.tile_bytes, about)

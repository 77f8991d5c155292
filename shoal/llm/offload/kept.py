"""A trained model's weights as a store on this machine's disk: written once, kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import cache, codec
from shoal.llm.checkpoint import Kept, prepared
from shoal.llm.checkpoint.stored import HEAD, matrices
from shoal.llm.offload.laid import TILE_BYTES, Laid, laid, shapes_of, write_weights
from shoal.llm.tiny import Tiny

VERSION = 1
WEIGHTS, FACTS = "weights.store", "facts.json"


@dataclass(frozen=True)
class Facts:
    """What stands beside the weights."""

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    tile_bytes: int


@dataclass(frozen=True)
class Stored:
    """Weights in a file of records, in float32."""

    path: Path
    facts: Facts

    @property
    def laid(self) -> Laid:
        """Which key holds what."""
        return laid(self.facts.shapes, self.facts.tile_bytes)


def stored(path: str | Path, tile_bytes: int = TILE_BYTES) -> tuple[Stored, Kept]:
    """The weights of a trained model, and what its tokens mean; the first time all of them are in memory at once.

    Raises:
        ModelError: there is no such model, or its kind cannot be read.
        InputError: the cache cannot be written.
    """
    kept = prepared(path)

    def build(folder: Path) -> None:
        found = {name if name.startswith(HEAD) else f"model.{name}": each for name, each in matrices(kept).items()}
        _write(Facts(kept.facts.config, shapes_of(found), tile_bytes), found, folder)

    return _kept(kept.folder.name, tile_bytes, build), kept


def stored_tiny(model: Tiny, tile_bytes: int = TILE_BYTES) -> Stored:
    """The same of a small model that comes with shoal."""
    digest = hashlib.sha256(codec.encode(dict(model.config)))
    for name, each in model.weights.items():
        digest.update(name.encode() + each.tobytes())
    facts = Facts(model.config, shapes_of(model.weights), tile_bytes)
    return _kept(digest.hexdigest(), tile_bytes, lambda folder: _write(facts, model.weights, folder))


def opened(folder: Path) -> Stored:
    """What was kept in a folder.

    Raises:
        InputError: nothing was.
    """
    return Stored(folder / WEIGHTS, codec.load(Facts, folder / FACTS))


def _kept(name: str, tile_bytes: int, build: Any) -> Stored:
    key = hashlib.sha256(codec.encode((VERSION, name, tile_bytes))).hexdigest()
    return opened(cache.entry("stores", key, build, cache.MOST_BYTES))


def _write(facts: Facts, weights: Mapping[str, Any], folder: Path) -> None:
    write_weights(facts.shapes, weights.__getitem__, folder / WEIGHTS, facts.tile_bytes)
    codec.save(facts, folder / FACTS)

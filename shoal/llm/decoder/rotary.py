"""Rotary places: the angle by which a place turns each pair of channels, and how longer sequences are fitted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.llm.config import Config

THETA = 10_000.0


@dataclass(frozen=True)
class Rotary:
    """How a layer knows places. [Su et al., "RoFormer", 2021]"""

    theta: float = THETA  # the slowest pair turns once in 2π of so many places
    factor: float = 1.0  # all pairs, or the slow ones, are slower by this
    band: tuple[float, float] | None = (
        None  # Llama 3: turns within `trained` below and above which all and none is slowed
    )
    trained: int = 0  # Llama 3: places before it was made longer

    def speeds(self, head: int) -> NDArray[np.float64]:
        """Radians a place, of each of `head` / 2 pairs of channels."""
        plain = self.theta ** -(np.arange(0, head, 2, dtype=np.float64) / head)
        if self.band is None:
            return plain / self.factor
        low, high = self.band
        turns = self.trained * plain / (2 * pi)
        kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
        return kept * plain + (1 - kept) * plain / self.factor

    def tables(self, places: int, head: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines, each (places, head / 2)."""
        angles = np.arange(places)[:, None] * self.speeds(head)[None]
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotary(config: Config, kind: str = "", theta: float = THETA) -> Rotary:
    """What a configuration says of places, as transformers 5 writes it (`rope_parameters`) or as older files do.

    Args:
        config: of the model.
        kind: of the layer, where kinds differ: "sliding_attention".
        theta: where nothing is said.

    Raises:
        ModelError: places are fitted in by a rule that is not known here.
    """
    said = config.entries.get("rope_parameters") or {}
    if kind in said:
        said = said[kind]
    scaling = said or (config.entries.get("rope_scaling") or {})
    found = float(said.get("rope_theta") or config.entries.get("rope_theta") or theta)
    return _scaled(found, scaling, config.source)


def _scaled(theta: float, said: Mapping[str, Any], where: str) -> Rotary:
    rule = said.get("rope_type") or said.get("type") or "default"
    if rule == "default":
        return Rotary(theta)
    if rule == "linear":
        return Rotary(theta, float(said["factor"]))
    if rule == "llama3":
        band = (float(said["low_freq_factor"]), float(said["high_freq_factor"]))
        return Rotary(theta, float(said["factor"]), band, int(said["original_max_position_embeddings"]))
    raise ModelError(f"rotary places are fitted in by '{rule}'", where=where, needed="default, linear or llama3")

"""Models that others put on devices, as data: recalled, none of them run here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shoal.fleet import Fleet
from shoal.study.taxonomy import read

FILE = Path(__file__).with_name("cases.toml")


@dataclass(frozen=True)
class Case:
    """A model as its publication tells it."""

    name: str
    by: str
    parameters: float  # milliards
    source: str
    bits: float = 16.0  # a weight

    @property
    def weights_bytes(self) -> float:
        """Of all weights, scales and what is kept of a text left out."""
        return self.parameters * 1e9 * self.bits / 8

    def fits(self, fleet: Fleet) -> tuple[str, ...]:
        """Devices whose memory, less what their system takes, holds the weights."""
        return tuple(each.name for each in fleet.devices if each.memory_limit_bytes >= self.weights_bytes)


@dataclass(frozen=True)
class _Cases:
    case: tuple[Case, ...]


def cases() -> tuple[Case, ...]:
    """All of them."""
    return read(FILE, _Cases).case

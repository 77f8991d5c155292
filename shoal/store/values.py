"""What a tensor store holds: keys in the order of use, records of arrays, tiers and their figures."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Arrays = Mapping[str, NDArray[Any]]
PAGE = 4096  # bytes; records begin and end with one, so that they can be read past the system's cache
ALIGNED = 64  # bytes; arrays within a record
LARGEST = 1 << 40  # bytes of one record that anything believes
PIECES = 8  # of a record that may give way to another, at most
PIECE_S, PIECE_BYTES = 1e-3, 1 << 18  # a piece is no less: the time where a rate is known, the bytes where none is


class Key(NamedTuple):
    """What is fetched as one; keys are ordered as a model uses them."""

    layer: int  # place in the order of use
    part: int = 0  # expert, tile or page there
    plane: int = 0  # bits of it, the highest first

    def __str__(self) -> str:
        return "/".join(map(str, self if self.plane else self[:2] if self.part else self[:1]))


@dataclass(frozen=True)
class Part:
    """One array of a record."""

    name: str
    dtype: str  # of numpy ("<f4"); codes of other formats travel as "|u1"
    shape: tuple[int, ...]
    offset: int  # bytes from the record's beginning

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        if kind.hasobject or self.offset < 0 or any(each < 0 for each in self.shape):
            raise InputError("no array of numbers", where=self.name, had=f"{self.dtype} {self.shape}")

    @property
    def bytes(self) -> int:
        """Without what fills up to the next array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Record:
    """Where one key's arrays lie in a tier."""

    key: Key
    offset: int
    bytes: int  # whole pages
    crc32: int  # of all of them
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not 0 < self.bytes <= LARGEST or self.bytes % PAGE or self.offset % PAGE or self.offset < 0:
            raise InputError("a record is whole pages", where=str(self.key), had=f"{self.bytes} at {self.offset}")
        if any(each.offset + each.bytes > self.bytes for each in self.parts):
            raise InputError("an array ends beyond its record", where=str(self.key))

    def views(self, held: memoryview) -> dict[str, NDArray[Any]]:
        """The arrays within the bytes of the record, without a copy."""
        return {
            each.name: np.frombuffer(held, np.dtype(each.dtype), math.prod(each.shape), each.offset).reshape(
                each.shape
            )
            for each in self.parts
        }


@dataclass(frozen=True)
class TierFigures:
    """What a tier does, as far as it is known."""

    name: str
    read_bytes_per_s: float | None = None  # none: nobody has said
    latency_s: float = 0.0  # of every read
    energy_j_per_byte: float = 0.0  # read
    emulated: bool = False  # held to these figures by waiting
    size_bytes: int = 0  # of all that lies there; 0: nobody has said
    energy_source: str = ""  # who says what a byte takes
    whole: bool = False  # records are read in one piece only

    def __post_init__(self) -> None:
        rate = math.inf if self.read_bytes_per_s is None else self.read_bytes_per_s
        if not rate > 0 or not 0 <= self.latency_s < math.inf or self.size_bytes < 0:
            raise InputError("a tier reads at a rate above zero, after a time of zero or more", where=self.name,
                             had=f"{rate:g} B/s, {self.latency_s:g} s")  # fmt: skip
        if not 0 <= self.energy_j_per_byte < math.inf:
            raise InputError("a byte takes no such energy", where=self.name, had=f"{self.energy_j_per_byte:g} J")
        if bool(self.energy_j_per_byte) != bool(self.energy_source):
            raise InputError("energy and who says so come together", where=self.name,
                             had=f"{self.energy_j_per_byte:g} J a byte by '{self.energy_source}'")  # fmt: skip

    def read_s(self, size: int, *, going_on: bool = False) -> float:
        """Seconds of one read; without the latency where it goes on from the one before.

        Raises:
            InputError: nobody has said how fast the tier is.
        """
        if self.read_bytes_per_s is None:
            raise InputError(
                "nobody has said how fast the tier is", where=self.name, hint="measure it, or state a rate"
            )
        return (0.0 if going_on else self.latency_s) + size / self.read_bytes_per_s

    def piece_bytes(self, size: int) -> int:
        """How much of a record is read before it may give way to another: what takes ten times the latency at least."""
        if self.whole:
            return size
        rate = self.read_bytes_per_s
        least = rate * max(PIECE_S, 10 * self.latency_s) if rate else PIECE_BYTES
        return min(size, pages(math.ceil(min(size, max(least, size / PIECES)))))


def laid_out(key: Key, arrays: Arrays, offset: int) -> tuple[Record, bytes]:
    """A record that begins at `offset`, and its bytes.

    Raises:
        InputError: an array is none of numbers.
    """
    parts: list[Part] = []
    data = bytearray()
    for name, array in arrays.items():
        parts.append(Part(name, array.dtype.str, array.shape, len(data)))
        data += np.ascontiguousarray(array).tobytes()
        data += bytes(-len(data) % ALIGNED)
    data += bytes(pages(len(data)) - len(data))
    return Record(key, offset, len(data), zlib.crc32(data), tuple(parts)), bytes(data)


def pages(size: int) -> int:
    """`size` in whole pages, in bytes; one at least."""
    return max(1, -(-size // PAGE)) * PAGE

"""Kernels that always follow one another: candidates for fusion, by proximity score.

Over a sequence of kernels, the score of a chain is how often it occurs over how often its first kernel does (Vellaisamy
et al., ISPASS 2025). At 1 the first kernel is always followed by the rest, so that the chain may be launched as one.
Such a chain cannot overlap itself: its last occurrence would have to begin another one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.errors import InputError

LENGTHS = (2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Chain:
    """Kernels that are launched one after another wherever the first one is."""

    names: tuple[str, ...]
    starts: tuple[int, ...]  # where in the sequence it is fused


@dataclass(frozen=True)
class Fusion:
    """All chains of one length that are fused, none over another."""

    length: int
    chains: tuple[Chain, ...]
    kernels: int  # in the sequence

    @property
    def fused(self) -> int:
        """How many chains become one kernel each."""
        return sum(len(chain.starts) for chain in self.chains)

    @property
    def kernels_left(self) -> int:
        """Kernels after fusion."""
        return self.kernels - self.fused * (self.length - 1)

    @property
    def ideal_speedup(self) -> float:
        """Where launches alone take time; an upper bound elsewhere."""
        return self.kernels / self.kernels_left

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The sequence cut into what is launched at once."""
        starts = {start for chain in self.chains for start in chain.starts}
        found, at = [], 0
        while at < self.kernels:
            size = self.length if at in starts else 1
            found.append(tuple(range(at, at + size)))
            at += size
        return tuple(found)


def fusions(
    names: Sequence[str], stops: Collection[int] = (), lengths: Sequence[int] = LENGTHS, least: int = 2
) -> tuple[Fusion, ...]:
    """For each length, the chains with a score of 1, taken from the left.

    Args:
        names: kernels in the order of their launches.
        stops: places that no chain reaches across: after a synchronisation or on another stream.
        lengths: of chains, from 2.
        least: how often a kernel must occur: of one that was seen once it is not known what follows.

    Raises:
        InputError: no kernels, or a length below 2.
    """
    if not names or min(lengths, default=2) < 2:
        raise InputError(
            "nothing to fuse", needed="kernels, and chains of two or more", had=f"{len(names)} kernels"
        )
    certain = _certain(names, stops, max(lengths, default=2), least)
    return tuple(_fusion(names, certain, length) for length in lengths)


def best(found: Sequence[Fusion]) -> Fusion:
    """The one that leaves fewest kernels; of equals the shortest.

    Raises:
        InputError: there is none.
    """
    if not found:
        raise InputError("no lengths of chains to choose from")
    return min(found, key=lambda each: (each.kernels_left, each.length))


def proximity(names: Sequence[str], chain: Sequence[str]) -> float:
    """The score of a chain over the whole sequence; 0 if its first kernel does not occur."""
    size, wanted = len(chain), tuple(chain)
    first = sum(name == wanted[0] for name in names)
    whole = sum(tuple(names[at : at + size]) == wanted for at in range(len(names) - size + 1))
    return whole / first if first else 0.0


def _certain(names: Sequence[str], stops: Collection[int], most: int, least: int) -> dict[str, int]:
    """By name, how many kernels are the same, itself included, wherever it occurs; 1 if it is too rare to tell."""
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(name, []).append(at)
    ends = _ends(len(names), stops)
    return {name: _alike(names, found, ends, most) if len(found) >= least else 1 for name, found in places.items()}


def _ends(count: int, stops: Collection[int]) -> list[int]:
    """For each place, the first one that a chain from it may not reach."""
    barred, found, end = set(stops), [0] * count, count
    for at in reversed(range(count)):
        found[at] = end
        if at in barred:
            end = at
    return found


def _alike(names: Sequence[str], places: Sequence[int], ends: Sequence[int], most: int) -> int:
    """How far the sequences from all `places` are the same."""
    room = min(most, *(ends[at] - at for at in places))
    for step in range(1, room):
        if len({names[at + step] for at in places}) > 1:
            return step
    return room


def _fusion(names: Sequence[str], certain: dict[str, int], length: int) -> Fusion:
    starts: dict[str, list[int]] = {}
    at = 0
    while at < len(names):
        if certain[names[at]] >= length:
            starts.setdefault(names[at], []).append(at)
            at += length
        else:
            at += 1
    chains = (Chain(tuple(names[found[0] : found[0] + length]), tuple(found)) for found in starts.values())
    return Fusion(length, tuple(chains), len(names))

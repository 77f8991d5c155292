"""What a store did: enough to add it up, and to run it again at other figures."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.store.values import Key, TierFigures


@dataclass(frozen=True)
class Use:
    """Keys that were held together."""

    keys: tuple[Key, ...]
    asked_s: float  # by the store's clock, as all here
    ready_s: float
    ended_s: float
    hits: int  # there when asked for
    late: int  # on their way, for they were foreseen
    then: tuple[Key, ...] | None = None  # preloaded from then on, instead of what was asked for before


@dataclass(frozen=True)
class Preload:
    """Keys that were asked for before their use."""

    keys: tuple[Key, ...]
    at_s: float
    priority: int
    instead: bool  # of those asked for before


@dataclass(frozen=True)
class Read:
    """One record from the slow tier."""

    key: Key
    bytes: int
    begun_s: float
    ended_s: float
    demanded: bool  # somebody waited for it when it began
    whole: bool = True  # the record is here then; else the read gave way to another


@dataclass(frozen=True)
class Told:
    """A store's life so far."""

    tier: TierFigures
    budget_bytes: int
    sizes: tuple[tuple[Key, int], ...]  # bytes of all records
    uses: tuple[Use, ...] = ()
    reads: tuple[Read, ...] = ()
    preloads: tuple[Preload, ...] = ()
    peak_bytes: int = 0  # of memory for records, free buffers among it

    @property
    def read_bytes(self) -> int:
        """From the slow tier."""
        return sum(each.bytes for each in self.reads)

    @property
    def records_read(self) -> int:
        """Those that came whole."""
        return sum(each.whole for each in self.reads)

    @property
    def read_j(self) -> float:
        """By the tier's figure."""
        return self.read_bytes * self.tier.energy_j_per_byte

    @property
    def stall_s(self) -> float:
        """How long users waited."""
        return sum(each.ready_s - each.asked_s for each in self.uses)

    @property
    def seconds(self) -> float:
        """From the first asking to the last end."""
        begun = min((each.asked_s for each in self.uses), default=0.0)
        return max((each.ended_s for each in self.uses), default=0.0) - begun

    @property
    def hit_rate(self) -> float:
        """Of keys asked for, those that were there."""
        return self._share(sum(each.hits for each in self.uses))

    @property
    def late_rate(self) -> float:
        """Of keys asked for, those on their way."""
        return self._share(sum(each.late for each in self.uses))

    def _share(self, count: int) -> float:
        return count / max(1, sum(len(each.keys) for each in self.uses))

"""The same records in several tiers: the first that can give one does."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shoal.errors import InputError, ShoalError, WorkError
from shoal.store.contract import Tier
from shoal.store.values import Key, Record

REST_S = 30.0


class Replicas:
    """Tiers in the order in which they are asked; one that failed is asked last for a while.

    Args:
        tiers: that hold the same records; closed with this one. Its figures are those of the first.
        rest_s: for how long a failure counts.

    Raises:
        InputError: there is none, or one holds something else.
    """

    def __init__(self, tiers: Sequence[Tier], rest_s: float = REST_S) -> None:
        if not tiers:
            raise InputError("replicas are tiers", had="none")
        self._tiers, self._rest_s = tuple(tiers), rest_s
        whole = any(each.figures.whole for each in tiers)
        self.figures, self.records = replace(tiers[0].figures, whole=whole), tiers[0].records
        wanted = _contents(self.records)
        for each in tiers:
            if _contents(each.records) != wanted:
                raise InputError("replicas hold the same records", where=each.figures.name, needed=f"those of {self.figures.name}")  # fmt: skip
        self._turn = threading.Lock()
        self._rests_until_s = [0.0] * len(tiers)
        self._given = [0] * len(tiers)

    @property
    def given(self) -> tuple[int, ...]:
        """How many reads each tier has answered."""
        return tuple(self._given)

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        faults: list[ShoalError] = []
        for at in self._order():
            try:
                self._tiers[at].read(key, into, offset)
            except ShoalError as fault:
                faults.append(fault)
                self._rests_until_s[at] = time.monotonic() + self._rest_s
            else:
                with self._turn:
                    self._given[at] += 1
                return
        raise WorkError(
            "no replica gives the record", where=str(key), had="; ".join(each.message for each in faults)
        )

    def close(self) -> None:
        """See `Tier`."""
        for each in self._tiers:
            each.close()

    def _order(self) -> list[int]:
        now_s = time.monotonic()
        return sorted(range(len(self._tiers)), key=lambda at: self._rests_until_s[at] > now_s)


def _contents(records: Mapping[Key, Record]) -> dict[Key, Record]:
    """Records wherever they lie."""
    return {key: replace(record, offset=0) for key, record in records.items()}

"""The first replica that can give a record does; one that failed rests; others' records are refused."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, WorkError
from shoal.store import FileTier, Key, MemoryTier, Tier, write_file
from shoal.store.offer import Offer
from shoal.store.remote import RemoteTier
from shoal.store.replicas import Replicas

ARRAYS = {Key(at): {"w": np.full(5000, at, np.float32)} for at in range(3)}


class Failing(MemoryTier):
    """Has so many failures in it."""

    failures = 0

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        if self.failures:
            self.failures -= 1
            raise WorkError("has no mind to")
        super().read(key, into, offset)


def value(tier: Tier, key: Key) -> float:
    held = memoryview(mmap.mmap(-1, tier.records[key].bytes))
    tier.read(key, held)
    return float(tier.records[key].views(held)["w"].mean())


def test_a_file_stands_in_for_a_peer_that_has_gone(tmp_path: Path) -> None:
    write_file(ARRAYS.items(), tmp_path / "copy")
    offer = Offer(MemoryTier(ARRAYS.items()))  # records elsewhere in memory than in the file are the same ones
    tier = Replicas([RemoteTier(offer.address, patience_s=2), FileTier(tmp_path / "copy")])
    assert value(tier, Key(1)) == 1
    offer.close()
    assert [value(tier, key) for key in ARRAYS] == [0, 1, 2]
    assert tier.given == (1, 3)
    tier.close()


@pytest.mark.parametrize(("rest_s", "given"), [(60.0, (0, 4)), (0.0, (2, 2))])
def test_who_failed_is_asked_last_for_a_while(rest_s: float, given: tuple[int, int]) -> None:
    first, second = Failing(ARRAYS.items()), Failing(ARRAYS.items())
    tier = Replicas([first, second], rest_s)
    first.failures = 2
    assert [value(tier, Key(2)) for _ in range(4)] == [2] * 4
    assert tier.given == given


def test_no_replica_left_names_what_each_said() -> None:
    first, second = Failing(ARRAYS.items()), Failing(ARRAYS.items())
    tier = Replicas([first, second])
    first.failures = second.failures = 1
    with pytest.raises(WorkError, match=r"1: no replica gives the record .*no mind to; has no mind to"):
        value(tier, Key(1))
    assert value(tier, Key(1)) == 1  # resting ones are better than none


def test_other_records_are_no_replica() -> None:
    other = MemoryTier([*ARRAYS.items(), (Key(9), ARRAYS[Key(0)])], name="other")
    with pytest.raises(InputError, match="other: replicas hold the same records"):
        Replicas([MemoryTier(ARRAYS.items()), other])
    with pytest.raises(InputError, match="replicas are tiers"):
        Replicas([])

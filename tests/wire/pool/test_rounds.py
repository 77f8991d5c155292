"""Who has written what: the pool's decisions by themselves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, WireError
from shoal.wire.pool.rounds import Round, Written
from shoal.wire.pool.values import Layout, Request, Shared, unpacked

SUM, PAGE = Shared("sum", 100, adds=True), Shared("page", 100, adds=False)


def begun(tensor: Shared, total: int = 80, number: int = 5) -> Round:
    found = Round(tensor)
    found.begin(number, total)
    return found


def test_a_sum_is_whole_when_all_have_written_all() -> None:
    now = begun(SUM)
    assert now.add(Written(1, 0, 40, 0, 0))
    assert not now.add(Written(0, 0, 40, 0, 0))
    assert now.missing(5, 0b11) == [0, 1]
    assert now.add(Written(0, 40, 80, 40, 0))
    assert now.missing(5, 0b11) == [1]
    assert now.missing(6, 0b11) == [0, 1]
    assert now.missing(4, 0b11) == []  # over long ago
    now.add(Written(1, 40, 80, 40, 0))
    assert now.missing(5, 0b11) == []


@given(cuts=st.lists(st.integers(0, 80), max_size=4).map(lambda inner: [0, *sorted(inner), 80]))
def test_parts_of_any_length_make_a_whole(cuts: list[int]) -> None:
    now = begun(PAGE)
    writers = (1 << len(cuts) - 1) - 1
    for port, (start, end) in enumerate(pairwise(cuts)):
        assert port in now.missing(5, writers)
        now.add(Written(port, start, end, 0, 0))
    assert now.missing(5, writers) == []


def test_what_others_have_written_is_theirs() -> None:
    now = begun(PAGE)
    now.add(Written(0, 0, 50, 0, 0))
    with pytest.raises(WireError, match=r"port 1 in 'page': bytes 49 to 60 are port 0's already"):
        now.add(Written(1, 49, 60, 0, 0))
    now = begun(SUM)
    now.add(Written(0, 0, 50, 0, 0))
    with pytest.raises(WireError, match="are port 0's already"):
        now.add(Written(0, 0, 50, 0, 0))
    with pytest.raises(WireError, match="cut otherwise than by port 0"):
        now.add(Written(1, 0, 40, 0, 0))
    with pytest.raises(WireError, match="cut otherwise"):
        now.add(Written(1, 0, 50, 0, 1))  # other numbers


def test_what_lies_beyond_or_behind_is_refused() -> None:
    now = begun(SUM)
    with pytest.raises(WireError, match="beyond the tensor"):
        now.add(Written(0, 40, 81, 0, 0))
    with pytest.raises(WireError, match="unlike sizes"):
        now.begin(5, 60)
    with pytest.raises(WireError, match="the round is over"):
        now.begin(4, 80)
    with pytest.raises(WireError, match=r"more than the tensor holds \(needed 101 bytes, had 100\)"):
        now.begin(6, 101)


def test_messages_come_back_and_others_are_refused() -> None:
    both = [Request(1, 0, 3, 1 << 31, 1 << 40, 16, 24, 0), Request(2, 0, 3, 1 << 31, writers=7, patience_us=9)]
    assert unpacked(b"".join(each.packed() for each in both)) == both
    for broken in (b"", b"x", both[0].packed()[:-1]):
        with pytest.raises(WireError, match="no message of a pool"):
            unpacked(broken)


def test_pools_that_cannot_be_are_refused() -> None:
    for ports, size in ((0, 1), (65, 1), (1, 0), (2, 1 << 41)):
        with pytest.raises(InputError, match="no pool can be so"):
            Layout(ports, (SUM,), size)

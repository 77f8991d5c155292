from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.plan.schedulers._timeline import Timeline


def booked(*spans: tuple[float, float]) -> Timeline:
    made = Timeline()
    for span in spans:
        made.book(*span)
    return made


def test_the_first_gap_that_is_long_enough_is_taken() -> None:
    line = booked((10, 20), (25, 40), (4, 6))
    assert line.earliest(0, 4, insertion=True) == 0
    assert line.earliest(0, 5, insertion=True) == 20
    assert line.earliest(0, 6, insertion=True) == 40
    assert line.earliest(0, 4, insertion=False) == 40


def test_a_gap_counts_from_when_the_data_is_there() -> None:
    line = booked((10, 20), (25, 40))
    assert line.earliest(3, 7, insertion=True) == 3
    assert line.earliest(4, 7, insertion=True) == 40
    assert line.earliest(22, 3, insertion=True) == 22
    assert line.earliest(23, 3, insertion=True) == 40
    assert line.earliest(50, 3, insertion=True) == 50


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_it_is_the_earliest_start_that_overlaps_nothing(asks: list[tuple[int, int]]) -> None:
    line, taken = Timeline(), list[tuple[int, int]]()
    for ready, length in asks:
        oracle = next(t for t in range(ready, 1000) if all(t + length <= start or t >= end for start, end in taken))
        assert line.earliest(ready, length, insertion=True) <= oracle
        start = int(line.earliest(ready, length, insertion=True))
        assert all(start + length <= one or start >= other for one, other in taken)
        line.book(start, start + length)
        taken.append((start, start + length))

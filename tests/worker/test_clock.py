"""A clock elsewhere, asked over a wire of uneven ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import WireError
from shoal.worker import Clock, offset

DELAYS = st.lists(st.tuples(st.floats(1e-5, 1), st.floats(1e-5, 1)), min_size=1, max_size=12)


@given(delays=DELAYS, skew_s=st.floats(-1e5, 1e5))
def test_an_offset_is_right_within_half_of_the_shortest_round_trip(
    delays: list[tuple[float, float]], skew_s: float
) -> None:
    now = [1000.0]
    rounds: Iterator[tuple[float, float]] = iter(delays)

    def ask_s() -> float:
        there_s, back_s = next(rounds)
        read_s = now[0] + there_s + skew_s
        now[0] += there_s + back_s
        return read_s

    found = offset(ask_s, "elsewhere", len(delays), lambda: now[0])
    shortest_s = min(there_s + back_s for there_s, back_s in delays)
    assert found.error_s == pytest.approx(shortest_s / 2, abs=1e-9)
    assert abs(found.ahead_s - skew_s) <= found.error_s + 1e-9
    assert found.there({"monotonic_s": 5.0, "boot": "here"}) == {
        "monotonic_s": 5.0 + found.ahead_s,
        "boot": "elsewhere",
    }


def test_a_clock_takes_over_an_origin_of_its_machine_and_no_other() -> None:
    now = [50.0]
    here, same, other = (Clock(lambda: now[0], boot) for boot in ("x", "x", "y"))
    now[0] = 53.0
    for clock in (same, other):
        clock.follow(here.origin)
    now[0] = 60.0
    assert (here.now_s(), same.now_s(), other.now_s()) == (10.0, 10.0, 7.0)
    for bad in (None, {}, {"monotonic_s": "1", "boot": "x"}, 3):
        with pytest.raises(WireError, match="no time"):
            same.follow(bad)

"""Two devices in simulated time, against what their times come to in the long run."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal.cost.hosted_experts import Pace
from shoal.sim.hosted_experts import Work, ends_s

TIMES = st.floats(0.1, 10)
PACES = st.builds(Pace, TIMES, TIMES, TIMES, TIMES)


@given(PACES, st.integers(0, 3), st.integers(0, 3))
def test_a_layer_asked_in_time_takes_as_long_as_the_slower_device(pace: Pace, fast: int, slow: int) -> None:
    wanted = pace.attention_s + max(fast * pace.fast_s, slow * pace.slow_s)
    assert ends_s([Work(fast, slow)] * 5, pace)[-1] == pytest.approx(5 * wanted)


@given(PACES, st.integers(0, 3), st.integers(0, 3))
def test_loads_are_waited_for(pace: Pace, fast: int, misses: int) -> None:
    wanted = pace.attention_s + misses * pace.load_s + fast * pace.fast_s
    assert ends_s([Work(fast, 0, misses)] * 5, pace)[-1] == pytest.approx(5 * wanted)


@given(PACES, st.integers(0, 3), st.integers(1, 3), st.integers(1, 60))
@example(Pace(6.75, 1.0, 0.25, 6.5), 2, 2, 60)  # the slow device uses up its lead of a layer but slowly
def test_asked_early_layers_take_as_long_as_the_busier_device(
    pace: Pace, fast: int, slow: int, layers: int
) -> None:
    fast_s, slow_s = pace.attention_s + fast * pace.fast_s, slow * pace.slow_s
    ends = ends_s([Work(fast, 0)] + [Work(fast, slow, early=True)] * layers, pace)
    assert ends[-1] == pytest.approx(max((layers + 1) * fast_s, pace.attention_s + layers * slow_s))
    assert pace.hidden(fast, slow) == (slow_s <= fast_s)


@given(PACES, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=12))
def test_asking_early_is_never_later(pace: Pace, works: list[tuple[int, int]]) -> None:
    late = ends_s([Work(*each) for each in works], pace)
    early = ends_s([Work(*works[0]), *(Work(*each, early=True) for each in works[1:])], pace)
    assert early[-1] <= late[-1] * (1 + 1e-12)


def test_the_slow_device_does_one_thing_after_another() -> None:
    pace = Pace(slow_s=10.0, load_s=1.0, attention_s=1.0, fast_s=1.0, ask_s=0.5)
    assert ends_s([Work(1, 1), Work(1, 1, early=True), Work(2, 0)], pace) == [11.5, 21.5, 24.5]

"""The knee of sweeps whose knee is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.measure.trace import bound, knee, slope

LOADS = [2.0**power for power in range(10)]


@example(4.0, 1.5, 1.0)
@given(st.floats(3, 60), st.floats(0.5, 2), st.floats(1e-6, 1e3))
def test_a_level_and_a_rise_meet_where_they_were_made_to(at: float, power: float, level: float) -> None:
    found = knee(LOADS, [level * max(1.0, (load / at) ** power) for load in LOADS])
    assert found is not None
    assert found.at == pytest.approx(at, rel=1e-6)
    assert found.slope == pytest.approx(power, rel=1e-6)
    assert found.floor == pytest.approx(level, rel=1e-6)
    assert at < found.first <= 4 * at


@given(st.integers(1, 8), st.floats(5, 1000))
def test_a_jump_lies_between_the_points_beside_it(place: int, jump: float) -> None:
    found = knee(LOADS, [1.0 if at < place else jump * load for at, load in enumerate(LOADS)])
    assert found is not None
    assert LOADS[place - 1] <= found.at <= LOADS[place] == found.first


def test_the_flat_rule_wants_growth_for_good() -> None:
    values = [1, 1.1, 1.6, 1, 0.9, 1.1, 2, 4, 8, 16]
    found = knee(LOADS, values)
    assert found is not None
    assert found.first == 64
    assert bound(values) == ("host",) * 6 + ("device",) * 4


def test_a_flat_sweep_has_none() -> None:
    rough = 1 + 0.1 * np.random.default_rng(0).random(10)
    assert knee(LOADS, list(rough)) is None
    assert bound(list(rough)) == ("host",) * 10


def test_the_slope_of_a_power() -> None:
    assert slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


@pytest.mark.parametrize(("loads", "values"), [([1, 2], [1, 2]), ([1, 2, 2], [1, 1, 1]), ([1, 2, 3], [1, 0, 1])])
def test_no_sweep(loads: list[float], values: list[float]) -> None:
    with pytest.raises(InputError):
        knee(loads, values)

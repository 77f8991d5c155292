"""Placement, exchange and who computes, against every other choice there is."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shoal.cost.hosted_experts import Pace
from shoal.errors import InputError, LimitError
from shoal.plan.hosted_experts import (
    DEGRADE,
    EXACT,
    FIDDLER,
    PRECALC,
    Course,
    Way,
    alone,
    degraded,
    early_layer,
    hit_rate,
    popular,
    swaps,
    together,
)
from shoal.sim.hosted_experts import Work
from shoal.store import NOBODY, RoutingTrace

PACE = Pace(slow_s=1.0, load_s=8.0)
LOADS = arrays(np.int64, st.integers(1, 7), elements=st.integers(0, 40))


def some(loads: np.ndarray, bits: int) -> np.ndarray:
    return np.array([bool(bits >> at & 1) for at in range(len(loads))])


def trace(
    chosen: list[list[list[int]]], foreseen: list[list[list[int]]] | None = None, experts: int = 4
) -> RoutingTrace:
    found = np.array(chosen, np.int16)
    ahead = np.full_like(found, NOBODY) if foreseen is None else np.array(foreseen, np.int16)
    return RoutingTrace(
        experts, found, np.full(found.shape, 0.5, np.float32), ahead, np.zeros(len(found), np.int32)
    )


@given(
    arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.integers(0, 30)),
    st.integers(0, 30),
)
def test_every_layer_has_its_share_and_the_rest_are_the_most_popular(loads: np.ndarray, slots: int) -> None:
    found = popular(loads, slots)
    layers, experts = loads.shape
    quota = min(slots // layers, experts)
    assert found.sum() == min(slots, loads.size)
    assert (found.sum(1) >= quota).all()
    for own, here in zip(loads, found, strict=True):
        assert own[here].min(initial=99) >= own[~here].max(
            initial=0
        )  # of its layer none that is left is more popular
    extra = [loads[at][found[at]].min() for at in range(layers) if found[at].sum() > quota]
    left = [loads[at][~found[at]].max(initial=0) for at in range(layers)]
    assert min(extra, default=99) >= max(left)


def test_no_memory_is_no_expert_and_less_is_refused() -> None:
    assert not popular(np.ones((2, 3), int), 0).any()
    with pytest.raises(LimitError, match="no memory for experts"):
        popular(np.ones((2, 3), int), -1)


def test_the_busiest_that_is_away_comes_for_the_idlest_that_is_here() -> None:
    loads, here = np.array([50, 3, 20, 21, 9, 40]), np.array([True, True, True, False, False, False])
    assert swaps(loads, here) == [(5, 1)]  # 21 is not more than 1.05 times 20
    assert swaps(np.array([20, 21]), np.array([True, False])) == []
    assert swaps(np.array([20, 22]), np.array([True, False])) == [(1, 0)]
    assert swaps(loads, np.ones(6, bool)) == swaps(loads, np.zeros(6, bool)) == []


@given(LOADS, st.integers(0, 127))
def test_exchanges_keep_the_room_and_gain_hits(loads: np.ndarray, bits: int) -> None:
    here = some(loads, bits)
    moved, after = swaps(loads, here), here.copy()
    assert len(moved) <= len(loads) // 2
    for hot, cold in moved:
        assert after[cold]
        assert not after[hot]
        assert loads[hot] > loads[cold]
        after[hot], after[cold] = True, False
    assert after.sum() == here.sum()


@given(LOADS, st.integers(0, 127), st.floats(0.1, 20), st.floats(0, 30))
def test_no_other_sharing_is_done_earlier(loads: np.ndarray, bits: int, load_s: float, busy_s: float) -> None:
    """Every subset of the missing experts on the slow device is tried."""
    here, pace = some(loads, bits), Pace(1.0, load_s)
    missing = [at for at in range(len(loads)) if loads[at] and not here[at]]

    def done_s(slow: frozenset[int] | tuple[int, ...]) -> float:
        return max(float(loads[list(slow)].sum()) * pace.slow_s, busy_s + (len(missing) - len(slow)) * pace.load_s)

    found = together(loads, here, pace, busy_s)
    assert found <= set(missing)
    every = (each for size in range(len(missing) + 1) for each in combinations(missing, size))
    assert done_s(found) == pytest.approx(min(map(done_s, every)))


def test_alone_each_missing_expert_is_where_it_takes_less() -> None:
    loads, here = np.array([7, 8, 9, 1, 0]), np.array([False, False, False, True, False])
    assert alone(loads, here, PACE) == {0}
    assert together(loads, here, PACE) == {0, 1}  # 15 and 8 rather than 7 and 16


@given(st.integers(2, 7), st.data())
def test_degrading_leaves_half_of_the_experts_away_or_none_could_come(experts: int, data: st.DataObject) -> None:
    per_token = data.draw(st.integers(1, experts))
    shares = np.array([data.draw(st.permutations([2.0**-at for at in range(experts)]))])
    chosen = np.argsort(-shares, axis=1)[:, :per_token]
    here = np.array(data.draw(st.lists(st.booleans(), min_size=experts, max_size=experts)))
    found = degraded(chosen, shares, here)
    assert len(set(found[0].tolist())) == per_token
    away, most = [each for each in chosen[0] if not here[each]], -(-per_token // 2)
    spare = [at for at in np.argsort(-shares[0]) if here[at] and at not in chosen[0]]
    kept = set(away[: max(most, len(away) - len(spare))])  # the heaviest are first
    came = set(spare[: len(away) - len(kept)])
    assert set(found[0].tolist()) == {each for each in chosen[0] if here[each]} | kept | came


def test_works_of_a_sequence_by_hand() -> None:
    text = trace(
        [[[0, 1], [0, 1]], [[0, 1], [0, 1]], [[0, 1], [2, 3]], [[2, 3], [0, 1]]],
        [[[-1, -1], [0, 1]], [[-1, -1], [0, 1]], [[-1, -1], [2, 1]], [[-1, -1], [3, 2]]],
    )
    here = np.array([[True, False, True, False], [False, True, True, False]])
    cheap = Pace(slow_s=1.0, load_s=1.5)
    course = Course(here, cheap, EXACT)
    assert list(course.works(text, 2)) == [
        Work(2, 0, 1), Work(2, 0, 1),  # expert 1 comes for 2, expert 0 for 2
        Work(2, 0), Work(1, 1, 1), Work(1, 1, 1), Work(2, 0),
    ]  # fmt: skip
    assert course.resident.tolist() == [[True, True, False, False], [True, True, False, False]]
    early = Way(swaps=False, early=True, exempt=1)
    works = list(Course(here, PACE, early).works(text, 2))
    assert works[3:] == [Work(2, 0, early=True), Work(1, 1), Work(1, 1, early=True)]
    assert works[2] == Work(1, 1)
    with pytest.raises(InputError, match="needed 1 to 4 tokens, had 5"):
        list(Course(here, PACE, EXACT).works(text, 5))


def test_of_two_experts_away_one_is_left_when_degraded() -> None:
    text = trace([[[0, 1], [0, 1]]] * 2, [[[-1, -1], [2, 3]]] * 2)
    here = np.array([[True, True, False, False]] * 2)
    for way, slow in ((Way(False, early=True, exempt=1), 2), (Way(False, early=True, degrade=True, exempt=1), 1)):
        assert list(Course(here, PACE, way).works(text, 1))[-1] == Work(2 - slow, slow, early=True)
    nobody = np.zeros((2, 4), bool)
    assert list(Course(nobody, PACE, Way(False, early=True, degrade=True, exempt=1)).works(text, 1))[-1].slow == 2


def test_layers_that_ask_early() -> None:
    here = np.array([[False, True]] * 3 + [[True, True]])
    assert [early_layer(at, here, PRECALC) for at in range(5)] == [False, False, True, False, False]
    assert not any(early_layer(at, here, way) for at, way in product(range(5), (EXACT, FIDDLER)))
    assert DEGRADE.early


def test_hits_are_choices_of_experts_that_are_here() -> None:
    here = np.array([[True, False, True, False], [False] * 4])
    assert hit_rate(trace([[[0, 1], [0, 1]], [[2, 0], [2, 3]]]), here) == 3 / 8


def test_ways_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="only experts that were foreseen"):
        Way(degrade=True)
    with pytest.raises(InputError, match="the first layer has none before it"):
        Way(early=True, exempt=0)
    with pytest.raises(InputError, match="a time above zero"):
        Pace(0.0, 1.0)

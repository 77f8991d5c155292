"""Orders of loading on a store in simulated time: by hand, and what is complete goes first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import InputError
from shoal.plan.expert_loading import ORDERS, Need, in_turn, order_of
from shoal.sim.shelf import SimulatedStore
from shoal.store import POLICIES, Key, TierFigures

PAGE = 4096


def keys(expert: int, planes: int) -> tuple[Key, ...]:
    return tuple(Key(0, expert, each) for each in range(planes))


NEEDS = [Need(0, 1, keys(0, 1)), Need(1, 4, keys(1, 3)), Need(2, 3, keys(2, 1))]
SIZES = {Key(layer, expert, each): PAGE for layer in range(2) for expert in range(4) for each in range(4)}


def store(budget: int = 1 << 20) -> SimulatedStore:
    """A page a second."""
    return SimulatedStore(
        tuple(SIZES.items()), budget, catalog.make(POLICIES, "coldest_plane"), TierFigures("disk", PAGE)
    )


def ran(name: str, made: SimulatedStore, work_s: float = 0.25) -> list[int]:
    served = []
    for need, held in in_turn(made, NEEDS, order_of(name), SIZES):
        assert len(held) == len(need.keys)
        assert set(need.keys) <= made.held()
        served.append(need.part)
        made.work(work_s)
    return served


@pytest.mark.parametrize(
    ("name", "served"), [("number", [0, 1, 2]), ("hottest", [1, 2, 0]), ("per_byte", [2, 1, 0])]
)
def test_orders_by_hand(name: str, served: list[int]) -> None:
    made = store()
    assert ran(name, made) == served
    assert [each.key.part for each in made.told().reads] == [part for part in served for _ in NEEDS[part].keys]
    assert made.now_s == pytest.approx(5.25)


def test_what_is_complete_goes_first_and_reads_go_on_meanwhile() -> None:
    made = store()
    with made.hold(keys(0, 1)):
        pass
    assert ran("hottest", made, 2.0) == [0, 1, 2]
    assert made.now_s == pytest.approx(1 + 3 + 2 + 2)  # expert 0 is multiplied while two planes of 1 are read
    assert ran("number", made, 0) == [0, 1, 2]
    assert len(made.told().reads) == 5


def test_what_becomes_complete_meanwhile_overtakes() -> None:
    made = store()
    with made.hold(keys(2, 1), then=[]):
        made.work(0)
    served = []
    for need, _ in in_turn(made, [*NEEDS[:2], Need(2, 1, keys(2, 1))], order_of("hottest"), SIZES):
        served.append(need.part)
        made.work(10.0)
    assert served == [2, 1, 0]


def test_the_next_layer_is_read_after_this_one() -> None:
    made = store()
    later = [Key(1, 3), Key(1, 3, 1)]
    for _ in in_turn(made, NEEDS, order_of("hottest"), SIZES, later):
        made.work(9.0)
    assert [each.key for each in made.told().reads][-2:] == later


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=4),
    st.sampled_from(sorted(ORDERS)),
    st.integers(4, 16),
)
def test_every_expert_comes_once_within_any_budget(experts: list[tuple[int, int]], name: str, pages: int) -> None:
    made = store(pages * PAGE)
    needs = [Need(each, tokens, keys(each, planes)) for each, (tokens, planes) in enumerate(experts)]
    for _ in range(2):
        served = []
        for need, _held in in_turn(made, needs, order_of(name), SIZES):
            assert set(need.keys) <= made.held()
            served.append(need.part)
            made.work(0.5)
        assert sorted(served) == list(range(len(experts)))
    assert made.told().peak_bytes <= pages * PAGE


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="no order of loading is called 'coldest'"):
        order_of("coldest")

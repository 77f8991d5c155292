"""Work over tiles, held against every way there is on small cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.machines.hybrid_bonded import balanced, dealt, grouped, loads_of, packed, split

WORKS = st.lists(st.integers(1, 50).map(float), min_size=1, max_size=6)


@given(WORKS.filter(lambda works: len(works) <= 4), st.integers(4, 8))
def test_groups_are_the_best_there_are(works: list[float], tiles: int) -> None:
    found = grouped(works, tiles)
    assert sum(found) == tiles
    every = [counts for counts in product(range(1, tiles + 1), repeat=len(works)) if sum(counts) == tiles]
    best = min(max(work / count for work, count in zip(works, counts, strict=True)) for counts in every)
    assert max(work / count for work, count in zip(works, found, strict=True)) == pytest.approx(best)


@given(WORKS, st.integers(1, 3))
def test_packing_is_within_grahams_bound_of_the_best(works: list[float], tiles: int) -> None:
    def fullest(chosen: tuple[int, ...] | list[int]) -> float:
        return max(sum(work for work, at in zip(works, chosen, strict=True) if at == tile) for tile in range(tiles))

    best = min(map(fullest, product(range(tiles), repeat=len(works))))
    found = packed(works, [0.0] * tiles)
    assert fullest(found) <= best * (4 / 3 - 1 / (3 * tiles)) + 1e-9


def test_packing_fills_what_others_left() -> None:
    assert packed([1.0, 1.0, 5.0], [4.0, 0.0, 9.0]) == [0, 0, 1]


@given(WORKS, st.integers(1, 8), st.data())
def test_balance_keeps_all_work_and_ends_within_the_limit(
    works: list[float], tiles: int, data: st.DataObject
) -> None:
    wide = data.draw(st.lists(st.booleans(), min_size=len(works), max_size=len(works)))
    shares = balanced(works, wide, range(tiles))
    assert [sum(each.values()) for each in shares] == pytest.approx([1.0] * len(works))
    assert all(share > 0 for each in shares for share in each.values())
    loads = loads_of(works, shares, tiles)
    assert loads.sum() == pytest.approx(sum(works))
    assert loads.max() <= 1.1 * loads.mean() + 1e-9


def test_nothing_is_split_where_it_is_even() -> None:
    shares = balanced([8.0, 8.0, 1.0, 1.0, 1.0, 1.0], [True, True] + [False] * 4, range(4))
    assert shares[:2] == [{0: 0.5, 1: 0.5}, {2: 0.5, 3: 0.5}]
    assert sorted(tile for each in shares[2:] for tile in each) == [0, 1, 2, 3]
    assert split([2.0, 2.0], [{0: 1.0}, {1: 1.0}], 2) == [{0: 1.0}, {1: 1.0}]


def test_the_largest_part_of_the_fullest_tile_is_halved() -> None:
    assert split([8.0, 1.0], [{0: 1.0}, {1: 1.0}], 4, full=2.0) == [{0: 0.5, 2: 0.5}, {1: 1.0}]


@given(st.integers(1, 300), st.dictionaries(st.integers(0, 9), st.floats(0.01, 1), min_size=1, max_size=6))
def test_dealt_pages_are_as_many_as_the_shares_say(pages: int, shares: dict[int, float]) -> None:
    owners = dealt(pages, shares)
    assert len(owners) == pages
    for tile, share in shares.items():
        assert abs((owners == tile).sum() - pages * share / sum(shares.values())) <= 1


def test_equal_shares_are_dealt_round() -> None:
    assert dealt(7, {4: 0.5, 2: 0.5, 9: 0.5}).tolist() == [4, 2, 9, 4, 2, 9, 4]
    assert dealt(6, {0: 2.0, 1: 1.0}).tolist().count(0) == 4


@given(st.integers(0, 200), st.integers(1, 64), st.integers(1, 8))
def test_pages_beside_each_other_are_even_over_a_group(first: int, count: int, tiles: int) -> None:
    owners = dealt(300, dict.fromkeys(range(tiles), 1 / tiles))[first : first + count]
    counts = np.bincount(owners, minlength=tiles)
    assert counts.max() - counts.min() <= 1


def test_too_few_tiles_for_groups() -> None:
    with pytest.raises(InputError, match="fewer tiles than heads"):
        grouped([1.0, 1.0], 1)
    assert [list(each) for each in balanced([3.0, 2.0, 1.0], [True] * 3, range(1))] == [[0], [0], [0]]

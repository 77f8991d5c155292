"""What every collective promises: what numpy gives, the bytes that it says, the same bits again, an end when one is lost."""

from __future__ import annotations

import functools
import threading
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import WireError, WorkerDied
from shoal.wire.collectives import FAMILY, Collective, Group, even
from shoal.wire.collectives._group import PIECE_BYTES
from tests.wire.groups import grouped, together

NAMES = catalog.names(FAMILY)
TRANSPORTS = ("memory", "shm", "tcp")
PIECE = PIECE_BYTES // 4  # numbers


def made(name: str) -> Collective:
    found: Collective = catalog.make(FAMILY, name)
    return found


def given_arrays(members: int, size: int, seed: int = 0) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return list(np.random.default_rng(seed).standard_normal((members, size)).astype(np.float32))


def check_all(name: str, groups: list[Group], size: int, cuts: tuple[int, ...]) -> None:
    """Every exchange against numpy, and its bytes against what it says."""
    how, members = made(name), len(groups)
    arrays, parts = given_arrays(members, size), [slice(*each) for each in pairwise(cuts)]
    exact = np.sum(np.array(arrays, np.float64), axis=0)
    joined = np.concatenate([array[part] for array, part in zip(arrays, parts, strict=True)])
    # What it takes to begin is not counted.
    together(groups, lambda group: how.broadcast(group, np.zeros(1, np.float32), 0))
    before = [group.sent_bytes for group in groups]

    def gathered(group: Group) -> np.ndarray[Any, Any]:
        array = np.full(size, np.nan, np.float32)
        array[parts[group.rank]] = arrays[group.rank][parts[group.rank]]
        how.all_gather(group, array, cuts)
        return array

    def scattered(group: Group) -> np.ndarray[Any, Any]:
        array = arrays[group.rank].copy()
        how.reduce_scatter(group, array, cuts)
        return array[parts[group.rank]]

    def reduced(group: Group) -> np.ndarray[Any, Any]:
        array = arrays[group.rank].copy()
        how.all_reduce(group, array, cuts)
        return array

    def crossed(group: Group) -> np.ndarray[Any, Any]:
        array = np.repeat(np.arange(members, dtype=np.float32), size) + 100 * group.rank
        how.all_to_all(group, array)
        return array

    def told(group: Group) -> np.ndarray[Any, Any]:
        array = arrays[group.rank].copy()
        how.broadcast(group, array, members - 1)
        return array

    for found in together(groups, gathered):
        np.testing.assert_array_equal(found, joined)
    sums = together(groups, scattered)
    np.testing.assert_allclose(np.concatenate(sums), exact, atol=1e-5)
    for found in together(groups, reduced):
        np.testing.assert_array_equal(found, np.concatenate(sums))  # the same order, the same bits
    for rank, found in enumerate(together(groups, crossed)):
        np.testing.assert_array_equal(found, np.repeat(100.0 * np.arange(members), size) + rank)
    for found in together(groups, told):
        np.testing.assert_array_equal(found, arrays[-1])
    sizes = [4 * (part.stop - part.start) for part in parts]
    for group, were in zip(groups, before, strict=True):
        said = [how.sent(kind, sizes, group.rank) for kind in ("all_gather", "reduce_scatter", "all_reduce")]
        said.append(how.sent("all_to_all", [4 * size] * members, group.rank))
        assert group.sent_bytes - were == sum(said) + how.sent("broadcast", sizes, group.rank, members - 1)


@pytest.mark.parametrize("members", [1, 2, 4])
@pytest.mark.parametrize("over", TRANSPORTS)
@pytest.mark.parametrize("name", NAMES)
def test_exchanges_are_those_of_numpy(name: str, over: str, members: int) -> None:
    with grouped(over, members) as groups:
        for size in (1, 1000, 9 * PIECE + 5):
            check_all(name, groups, size, even(size, members))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 2 * PIECE), min_size=3, max_size=3).filter(any))
def test_parts_may_be_of_any_length(name: str, lengths: list[int]) -> None:
    cuts = tuple(np.cumsum([0, *lengths]).tolist())
    with grouped("memory", 3) as groups:
        check_all(name, groups, cuts[-1], cuts)


@pytest.mark.parametrize("name", [each for each in NAMES if each != "pool"])
def test_no_way_sends_less_than_the_bound_among_members(name: str) -> None:
    sizes = [100] * 5
    for kind in ("all_gather", "reduce_scatter"):
        assert sum(made(name).sent(kind, sizes, rank) for rank in range(5)) == 4 * sum(sizes)


def test_to_a_pool_everything_goes_once_however_many_there_are() -> None:
    for members in (2, 5):
        sizes = [100] * members
        assert sum(made("pool").sent("all_gather", sizes, rank) for rank in range(members)) == sum(sizes)
        assert made("pool").sent("all_reduce", sizes, 0) == sum(sizes)


@pytest.mark.parametrize("name", ["direct", "pool"])
def test_adding_in_the_order_of_ranks_does_not_depend_on_the_cuts(name: str) -> None:
    arrays = given_arrays(4, 999, seed=3)
    wanted = functools.reduce(np.add, arrays)
    for cuts in (even(999, 4), (0, 0, 1, 998, 999), (0, 999, 999, 999, 999)):

        def reduced(group: Group, cuts: tuple[int, ...] = cuts) -> np.ndarray[Any, Any]:
            array = arrays[group.rank].copy()
            made(name).all_reduce(group, array, cuts)
            return array

        with grouped("memory", 4) as groups:
            for found in together(groups, reduced):
                np.testing.assert_array_equal(found, wanted)


@given(size=st.integers(0, 10_000), members=st.integers(1, 9), step=st.sampled_from([1, 64, 4096]))
def test_cuts_are_even_and_whole_steps(size: int, members: int, step: int) -> None:
    cuts = even(size, members, step)
    assert (cuts[0], cuts[-1], len(cuts)) == (0, size, members + 1)
    lengths = np.diff(cuts)
    assert (lengths >= 0).all()
    assert lengths.max() - lengths.min() <= max(1, 2 * step - 1)
    assert all(cut % step == 0 or cut == size for cut in cuts)


@pytest.mark.parametrize("over", TRANSPORTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_leaves_in_the_middle_ends_all(name: str, over: str) -> None:
    size = 40 * PIECE
    with grouped(over, 3) as groups:

        def gathered(group: Group) -> str:
            array = np.zeros(size, np.float32)
            if group.rank == 1:
                group.send(2, array[:PIECE])  # what each way sends there first, and then no more
                group.close()
                return ""
            with pytest.raises(WorkerDied, match="a member of the group is gone") as found:
                made(name).all_gather(group, array, even(size, 3))
            return str(found.value.where)

        assert together(groups, gathered) == ["member/1", "", "member/1"]


@pytest.mark.parametrize("over", TRANSPORTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_leaves_between_two_exchanges_ends_all(name: str, over: str) -> None:
    with grouped(over, 3) as groups:
        done = threading.Barrier(3)

        def summed(group: Group) -> str:
            array = np.ones(3 * PIECE, np.float32)
            made(name).all_reduce(group, array, even(len(array), 3))
            assert (array == 3).all()
            done.wait(10)
            if group.rank == 1:
                group.close()
                return ""
            with pytest.raises(WorkerDied, match="a member of the group is gone") as found:
                made(name).all_reduce(group, array, even(len(array), 3))
            return str(found.value.where)

        assert together(groups, summed) == ["member/1", "", "member/1"]


def test_a_member_that_says_nothing_is_named() -> None:
    with grouped("memory", 2, patience_s=0.2) as groups:
        begun_s = time.monotonic()
        with pytest.raises(WorkerDied, match=r"member/1: .*says nothing for 0.2 s"):
            made("ring").all_gather(groups[0], np.zeros(8, np.float32), (0, 4, 8))
        assert time.monotonic() - begun_s < 5


def test_a_member_that_exchanges_something_else_is_found() -> None:
    with grouped("memory", 2) as groups:
        groups[0].send(1, np.zeros(9, np.uint8))
        with pytest.raises(
            WireError, match=r"member/0: .*something else \(needed piece 0 of 8 B, had piece 0 of 9 B\)"
        ):
            groups[1].receive(0, np.zeros(8, np.uint8))

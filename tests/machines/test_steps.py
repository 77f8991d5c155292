"""Meshes and steps: ways counted by hand, units and links that are shared, monotone times, values that are carried."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, ProgramError
from shoal.machines._mesh import Mesh
from shoal.machines._steps import Compute, Counts, Send, Step, passed

MESH = Mesh(4, 4, 32.0, 0.25)


def seconds(counts: Counts) -> float:
    return counts.get("work", 0.0)


def work(tile: int, amount: float, *after: int) -> Compute:
    return Compute(tile, {"work": amount}, after)


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    """Steps on a mesh of 3 × 2 that wait for some before them."""
    found: list[Step] = []
    for at in range(draw(st.integers(1, 25))):
        after = tuple(draw(st.sets(st.integers(0, at - 1), max_size=3))) if at else ()
        tiles, amount = st.integers(0, 5), float(draw(st.integers(0, 9)))
        if draw(st.booleans()):
            found.append(Compute(draw(tiles), {"work": amount}, after, draw(st.sampled_from(["tile", "other"]))))
        else:
            found.append(Send(draw(tiles), draw(tiles), amount, after))
    return found


def by_definition(steps: list[Step], mesh: Mesh, speed: float) -> float:
    """Each step after those that it waits for and after all earlier ones that need what it needs."""
    ends: list[float] = []
    free: dict[object, float] = {}
    for step in steps:
        start_s = max([0.0, *(ends[at] for at in step.after)])
        if isinstance(step, Send):
            needed: list[object] = list(mesh.path(step.source, step.target))
            takes_s, later_s = step.bytes / mesh.link_bytes_per_s if needed else 0.0, len(needed) * mesh.hop_s
        else:
            needed, takes_s, later_s = [(step.tile, step.unit)], step.counts["work"] / speed, 0.0
        start_s = max([start_s, *(free.get(each, 0.0) for each in needed)])
        free |= dict.fromkeys(needed, start_s + takes_s)
        ends.append(start_s + takes_s + later_s)
    return max(ends)


def test_ways_go_along_the_row_then_along_the_column() -> None:
    assert MESH.path(0, 10) == ((0, 1), (1, 2), (2, 6), (6, 10))
    assert MESH.path(10, 0) == ((10, 9), (9, 8), (8, 4), (4, 0))
    assert MESH.path(7, 4) == ((7, 6), (6, 5), (5, 4))
    assert MESH.path(5, 5) == ()


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_ways_are_shortest_and_the_snake_visits_each_tile_once(
    columns: int, rows: int, data: st.DataObject
) -> None:
    mesh = Mesh(columns, rows, 1.0, 0.0)
    source, target = (data.draw(st.integers(0, mesh.tiles - 1)) for _ in range(2))
    away = abs(source % columns - target % columns) + abs(source // columns - target // columns)
    assert len(mesh.path(source, target)) == away
    snake = mesh.snake()
    assert sorted(snake) == list(range(mesh.tiles))
    assert all(len(mesh.path(*pair)) == 1 for pair in pairwise(snake))


def test_a_message_by_hand() -> None:
    """64 bytes at 32 a second over four links of 0.25 s latency; all four are held for two seconds."""
    found = passed([Send(0, 10, 64)], MESH, seconds)
    assert found.seconds == 2 + 4 * 0.25
    assert found.counts == {"noc": 256}
    assert set(found.links_s.values()) == {2.0}
    assert len(found.links_s) == 4


def test_messages_that_share_a_link_wait_and_others_do_not() -> None:
    shared = passed([Send(0, 2, 32), Send(1, 2, 32)], MESH, seconds)
    assert shared.seconds == 2 + 0.25
    apart = passed([Send(0, 1, 32), Send(1, 2, 32), Send(1, 0, 32)], MESH, seconds)
    assert apart.seconds == 1 + 0.25


def test_units_of_a_tile_work_at_once_and_one_unit_does_not() -> None:
    assert passed([work(3, 2.0), work(3, 3.0)], MESH, seconds).seconds == 5
    found = passed([work(3, 2.0), Compute(3, {"work": 3.0}, (), "other"), work(2, 1.0, 0)], MESH, seconds)
    assert found.seconds == 3
    assert found.busy_s[:5] == (0, 0, 1, 3, 0)


def test_a_tile_does_its_steps_in_order() -> None:
    """The second step of tile 0 waits for tile 1, and the third for the second."""
    assert passed([work(1, 5.0), work(0, 1.0), work(0, 1.0, 0), work(0, 1.0)], MESH, seconds).seconds == 7


@given(programs())
def test_times_are_those_of_the_definition_and_faster_is_never_slower(steps: list[Step]) -> None:
    mesh = Mesh(3, 2, 2.0, 0.5)
    base_s = passed(steps, mesh, seconds).seconds
    assert base_s == pytest.approx(by_definition(steps, mesh, 1.0))
    quick = replace(mesh, link_bytes_per_s=4.0)
    assert passed(steps, quick, seconds).seconds <= base_s
    assert passed(steps, mesh, lambda counts: seconds(counts) / 2).seconds <= base_s
    assert passed(steps, replace(mesh, hop_s=0.25), seconds).seconds <= base_s


def test_values_go_where_messages_carry_them() -> None:
    def doubled(store: dict[str, float]) -> None:
        store["y"] = 2 * store["x"]

    stores: list[dict[str, float]] = [{"x": 3.0}, {}]
    steps: list[Step] = [Compute(0, {}, does=doubled), Send(0, 1, 8, (0,), ("y",))]
    passed(steps, Mesh(2, 1, 1.0, 0.0), seconds, stores)
    assert stores[1] == {"y": 6.0}
    with pytest.raises(ProgramError, match="a value that its tile does not hold"):
        passed([Send(0, 1, 8, (), ("z",))], Mesh(2, 1, 1.0, 0.0), seconds, stores)


def test_what_cannot_be() -> None:
    with pytest.raises(ProgramError, match="waits for a later one"):
        passed([work(0, 1.0, 1), work(0, 1.0)], MESH, seconds)
    with pytest.raises(InputError, match="a mesh without tiles"):
        Mesh(0, 4, 1.0, 0.0)
    with pytest.raises(InputError, match="links that move nothing"):
        Mesh(4, 4, 0.0, 0.0)

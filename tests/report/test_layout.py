from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shoal.report.layout import fold, layered


@st.composite
def dags(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 40))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    arrows = {(s, t) for s, t in draw(st.lists(pairs, max_size=80)) if s < t}
    return count, sorted(arrows)


@given(dags())
def test_no_op_sits_on_another_or_on_a_passing_arrow(dag: tuple[int, list[tuple[int, int]]]) -> None:
    count, arrows = dag
    layout = layered(count, arrows)
    taken = set(layout.places)
    assert len(taken) == count
    for (source, target), wire in zip(arrows, layout.wires, strict=True):
        assert (wire[0], wire[-1]) == (layout.places[source], layout.places[target])
        assert wire[0][0] < wire[-1][0]
        for (first, lane), (last, _) in pairwise(wire[1:-1]):
            assert not taken & {(layer, lane) for layer in range(first, last + 1)}


@given(dags(), st.integers(1, 12))
def test_folding_keeps_ops_apart_and_arrows_in_their_rows(
    dag: tuple[int, list[tuple[int, int]]], per_row: int
) -> None:
    count, arrows = dag
    picture = fold(layered(count, arrows), per_row)
    assert len(set(picture.points)) == count
    assert all(0 <= x < picture.width and 0 <= y <= picture.height for x, y in picture.points)
    for (source, target), line in zip(arrows, picture.lines, strict=True):
        assert (line[0], line[-1]) == (picture.points[source], picture.points[target])


def test_a_chain_runs_straight_and_a_shortcut_beside_it() -> None:
    layout = layered(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert layout.places == ((0, 0), (1, 0), (2, 0), (3, 0))
    assert layout.wires[3] == ((0, 0), (1, 1), (2, 1), (3, 0))


def test_every_second_row_runs_back() -> None:
    picture = fold(layered(5, [(i, i + 1) for i in range(4)]), 2)
    assert [x for x, _ in picture.points] == [0, 1, 1, 0, 0]
    assert [y for _, y in picture.points] == [0, 0, 2, 2, 4]


def test_nothing_has_a_layout() -> None:
    assert fold(layered(0, []), 8).points == ()


def test_an_op_without_producers_stands_beside_its_reader() -> None:
    layout = layered(5, [(0, 1), (1, 2), (2, 4), (3, 4)])
    assert layout.places[3] == (2, 1)

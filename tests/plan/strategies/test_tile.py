from __future__ import annotations

from pathlib import Path

import pytest

from shoal import catalog
from shoal.errors import InputError, PlanError
from shoal.graph import Graph, divide
from shoal.plan.lower import program_of
from shoal.plan.strategies.tile import DEPTHS, Tile
from tests.graph.divided import check, small
from tests.graph.models import floats, node
from tests.plan.strategies.chains import SIDE, WIDE, checked, held_bytes, tasked, vgg


@pytest.fixture
def chain(tmp_path: Path) -> Graph:
    return vgg(tmp_path)


def test_strips_of_the_input_out_and_of_the_result_home(chain: Graph) -> None:
    """Fused: Σ_{i≠0} |in tile_i| + Σ_{i≠0} |out tile_i|, the halos worked out by hand.

    4 rows of p3 in 2 strips. Rows 2–4 of p3 need 4–8 of r3, 3–8 of c2's output, 2–8 of p1, 4–16 of r1, 3–16 of c0,
    and 2–16 of x.
    """
    made = checked(Tile(), chain, (1, 1))
    assert Tile().transfer_bytes(tasked(chain, 2), (1, 1)) == 4 * (14 * 3 * SIDE + 2 * 12 * 4)
    convolutions = sum(op.weights_bytes for op in chain.ops if op.kind == "Conv")
    assert [
        held - 64 <= all_of <= held
        for held, all_of in zip(held_bytes(made), (chain.weights_bytes, convolutions), strict=True)
    ] == [True, True]  # bounds of slices besides


def test_after_every_layer_only_edges(chain: Graph) -> None:
    """Each border passes (k − 1) · W · C values for each layer: one row each way for k = 3, stride 1.

    Pools with k = s pass nothing. Input: rows 7–16 of x for the second tile; result: 2 rows of p3.
    """
    checked(Tile(depth=1), chain, (1, 1))
    halos = 2 * SIDE * WIDE["c0"] + 2 * SIDE // 2 * WIDE["c1"] + 2 * SIDE // 2 * WIDE["c2"]
    sent = 4 * (9 * SIDE * 3 + halos + 2 * 4 * 12)
    assert Tile(depth=1).transfer_bytes(tasked(chain, 2), (1, 1)) == sent


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("axis", ["rows", "columns"])
@pytest.mark.parametrize("shares", [(1, 1), (3, 1), (1, 2, 1), (2, 0, 1), (1, 1, 1, 1)])
def test_every_depth_and_axis(chain: Graph, depth: int, axis: str, shares: tuple[float, ...]) -> None:
    checked(catalog.make("plan/strategies", f"tile:axis={axis},depth={depth}"), chain, shares)


def test_deeper_stacks_do_more_work_and_meet_less_often(chain: Graph) -> None:
    work, segments = {}, {}
    for depth in (1, 2, 0):
        division = Tile(depth=depth).divide(tasked(chain, 3), (1, 1, 1))
        graph = divide(chain, division.splits).graph
        work[depth] = graph.macs / chain.macs
        segments[depth] = len(program_of(graph, division.replicas, 4, "toy").segments)
    assert work[1] == 1.0 < work[2] < work[0]
    assert segments[0] < segments[2] <= segments[1]
    assert segments[0] <= 5  # strips of the input, one stack on each of three, and the rest at home


def test_until_ends_the_stack(chain: Graph) -> None:
    division = Tile(until="p1").divide(tasked(chain, 2), (1, 1))
    assert {split.op for split in division.splits} == {"c0", "r0", "c1", "r1", "p1"}
    check(chain, division.splits)


def test_a_branch_beside_the_end_is_tiled_as_far_as_it_goes(tmp_path: Path) -> None:
    weights = {"v": floats(4, 2, 3, 3), "w": floats(4, 2, 1, 1)}
    nodes = [
        node("Conv", "x v", "a", pads=[1, 1, 1, 1]),
        node("Conv", "x w", "b"),
        node("Concat", "a b", "c", axis=1),
        node("GlobalAveragePool", "c", "y"),
    ]
    graph = small(tmp_path, nodes, {"x": [1, 2, 9, 9]}, "y", weights)
    assert {split.op for split in Tile().divide(tasked(graph, 2), (1, 1)).splits} == {"a", "b", "c"}
    checked(Tile(), graph, (2, 1))


def test_more_tiles_than_rows_name_the_layer_and_how_many_there_are(tmp_path: Path) -> None:
    graph = small(tmp_path, [node("Relu", "x", "y")], {"x": [1, 2, 5, 9]}, "y")
    with pytest.raises(PlanError, match=r"op 'y' .Relu. has too few rows for these shares") as caught:
        Tile().divide(tasked(graph, 8), [1] * 8)
    assert caught.value.needed == "one for each of 8 shares"
    assert caught.value.had is not None
    assert caught.value.had.startswith("5, divided ")
    assert caught.value.hint == "at most 5 equal shares"


def test_shares_too_uneven_for_the_rows(tmp_path: Path) -> None:
    graph = small(tmp_path, [node("Relu", "x", "y")], {"x": [1, 2, 5, 9]}, "y")
    with pytest.raises(PlanError, match="too few rows") as caught:
        Tile().divide(tasked(graph, 3), (50, 1, 50))
    assert caught.value.hint == "more even shares"
    assert caught.value.had == "5, divided 3, 0, 2"


@pytest.mark.parametrize(
    ("until", "names", "last"), [("f0", "op 'flat' (Flatten)", "p3"), ("flat", "op 'flat' (Flatten)", "p3")]
)
def test_a_layer_that_cannot_be_tiled_is_named_with_the_last_that_can(
    chain: Graph, until: str, names: str, last: str
) -> None:
    with pytest.raises(PlanError) as caught:
        Tile(until=until).divide(tasked(chain, 2), (1, 1))
    assert names in caught.value.what
    assert caught.value.hint == f"end the stack at until={last}"


def test_ends_nobody_knows(chain: Graph) -> None:
    with pytest.raises(PlanError, match="no op 'flaat' to tile up to") as caught:
        Tile(until="flaat").divide(tasked(chain, 2), (1, 1))
    assert caught.value.hint == "did you mean 'flat'?"
    with pytest.raises(InputError, match="axis"):
        catalog.make("plan/strategies", "tile:axis=up")
    with pytest.raises(PlanError, match="depth"):
        Tile(depth=-1).divide(tasked(chain, 2), (1, 1))


def test_depths_are_tried_unless_stated() -> None:
    assert [tile.depth for tile in Tile(axis="columns").variants()] == list(DEPTHS)
    assert {tile.axis for tile in Tile(axis="columns").variants()} == {"columns"}
    assert Tile(depth=2).variants() == [Tile(depth=2)]
    assert catalog.spelled("tile", Tile(depth=2)) == "tile:depth=2"
    assert catalog.make("plan/strategies", catalog.spelled("tile", Tile("columns", 0))) == Tile("columns", 0)


def test_too_few_rows_further_in_are_told_with_both_ways_out(chain: Graph) -> None:
    with pytest.raises(PlanError, match=r"op 'p3' .MaxPool. has too few rows") as caught:
        Tile(until="p3").divide(tasked(chain, 6), [1] * 6)
    assert caught.value.hint == "at most 4 equal shares; or end the stack at until=r3"
    assert Tile().divide(tasked(chain, 6), [1] * 6).splits[-1].op == "r3"

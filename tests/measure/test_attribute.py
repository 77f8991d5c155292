"""Names that rewrites leave behind, each to the op it stands for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shoal.graph import Graph
from shoal.measure.attribute import Node, owners

Light = Callable[[str], Graph]


@pytest.fixture(scope="module")
def graph(light: Light) -> Graph:
    """Opens with Conv (0), BatchNormalization (1), Mul, Add, Relu (4), MaxPool (5), BatchNormalization, Mul."""
    return light("densenet121")


@pytest.mark.parametrize(
    ("node", "place"),
    [
        (Node("#5#", "MaxPool", ("elsewhere",)), 5),
        (Node("fused #0#", "FusedConv", ("elsewhere",)), 0),
        (Node("made up", "FusedConv", ("r6",)), 0),  # the activation's output: the convolution does the work
        (Node("r6_nchwc", "Conv", ("token",)), 0),
        (Node("r8_bn_nchwc", "Conv", ("token",)), 6),  # a normalisation that became a convolution
        (Node("r10_mul_nchwc", "Conv", ("token",)), 7),
        (Node("made up", "LayerNormalization", ("r6",)), 4),  # no op of that kind: where its output comes from
    ],
)
def test_a_node_is_known_by_what_is_left_of_its_name(graph: Graph, node: Node, place: int) -> None:
    assert owners(graph, [node]) == [place]


def test_layout_changes_go_with_the_node_before_them(graph: Graph) -> None:
    nodes = [Node("#5#", "MaxPool", ()), Node("ReorderOutput", "ReorderOutput", ("r25",)), Node("?", "What", ())]
    assert owners(graph, nodes) == [5, 5, 5]

"""channel_out, channel_in and channel_pair, which differ only in which layers are divided by what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import PlanError
from shoal.graph import Graph, divide
from shoal.plan.shares import apportion
from shoal.plan.strategies.channel_in import ChannelIn
from shoal.plan.strategies.channel_out import ChannelOut
from shoal.plan.strategies.channel_pair import ChannelPair
from shoal.program import CLIENT
from tests.graph.divided import check, small
from tests.graph.models import floats, node
from tests.plan.strategies.chains import CLASSES, bytes_of, checked, held_bytes, of_others, tasked, vgg

SHARES = [(1, 1), (2, 1), (1, 1, 1), (2, 3, 2)]
NAMES = ("channel_out", "channel_in", "channel_pair")


@pytest.fixture
def chain(tmp_path: Path) -> Graph:
    return vgg(tmp_path)


def answer_home(graph: Graph, shares: tuple[float, ...]) -> int:
    """The parts of the answer that others made."""
    return of_others(graph, "f1", apportion(CLASSES, shares))


@pytest.mark.parametrize("shares", SHARES)
def test_by_output_everybody_gathers_what_the_next_layer_reads(chain: Graph, shares: tuple[float, ...]) -> None:
    """(N − 1)|in| + Σ (N − 1)|gathered|, and the answer home."""
    checked(ChannelOut(), chain, shares)
    gathered = bytes_of(chain, "x", "r0", "p1", "r2", "p3", "rf0")
    sent = (len(shares) - 1) * gathered + answer_home(chain, shares)
    assert ChannelOut().transfer_bytes(tasked(chain, len(shares)), shares) == sent


@pytest.mark.parametrize("shares", SHARES)
def test_by_input_partial_sums_are_scattered(chain: Graph, shares: tuple[float, ...]) -> None:
    """The input's parts, (N − 1)|out| after every layer, and the answer home."""
    checked(ChannelIn(), chain, shares)
    summed = bytes_of(chain, "c0", "c1", "c2", "c3", "f0", "f1")
    sent = of_others(chain, "x", apportion(3, shares)) + (len(shares) - 1) * summed + answer_home(chain, shares)
    assert ChannelIn().transfer_bytes(tasked(chain, len(shares)), shares) == sent


@pytest.mark.parametrize("shares", SHARES)
def test_between_a_pair_nothing_is_sent(chain: Graph, shares: tuple[float, ...]) -> None:
    """Before each pair its input to all, after it partial sums."""
    checked(ChannelPair(), chain, shares)
    inputs, summed = bytes_of(chain, "x", "p1", "p3"), bytes_of(chain, "c1", "c3", "f1")
    sent = (len(shares) - 1) * (inputs + summed) + answer_home(chain, shares)
    assert ChannelPair().transfer_bytes(tasked(chain, len(shares)), shares) == sent


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shares", [*SHARES, (1, 0, 2)])
def test_each_unit_holds_its_share_of_the_weights_and_does_its_share_of_the_work(
    chain: Graph, name: str, shares: tuple[float, ...]
) -> None:
    strategy = catalog.make("plan/strategies", name)
    program = checked(strategy, chain, shares)
    held, wanted = held_bytes(program), [share / sum(shares) for share in shares if share]
    assert np.abs(np.array(held) / chain.weights_bytes - wanted).max() < 0.12  # whole channels of 8, 12, 24
    assert chain.weights_bytes <= sum(held) < chain.weights_bytes + 2048  # bounds of slices besides
    division = strategy.divide(tasked(chain, len(shares)), shares)
    assert divide(chain, division.splits).graph.macs == chain.macs


def test_every_layer_costs_one_exchange(chain: Graph) -> None:
    """Each of three sends to two others, after every layer, or before and after every pair of them."""
    messages, segments = {}, {}
    for name in NAMES:
        program = checked(catalog.make("plan/strategies", name), chain, (1, 1, 1))
        messages[name] = sum(CLIENT not in (edge.source, edge.target) for edge in program.edges)
        segments[name] = len(program.segments)
    layers, others = 6, 6
    assert messages["channel_out"] == layers * others - 4 + 2  # the input leaves from home only; answers go home
    assert messages["channel_in"] == layers * others + 2 + 2  # parts of the input go out; answers go home
    assert messages["channel_pair"] == layers * others - 4 + 2
    assert max(segments.values()) <= 2 * 3 * (layers + 1)


def test_what_normalises_across_channels_runs_everywhere_or_at_home(tmp_path: Path) -> None:
    """LRN on every part, since the convolution behind it is divided; Softmax only at home."""
    nodes = [
        node("Conv", "x v", "a", pads=[1, 1, 1, 1]),
        node("LRN", "a", "n", size=3),
        node("Conv", "n w", "b"),
        node("GlobalAveragePool", "b", "g"),
        node("Softmax", "g", "y", axis=1),
    ]
    weights = {"v": floats(6, 2, 3, 3), "w": floats(4, 6, 1, 1)}
    graph = small(tmp_path, nodes, {"x": [1, 2, 6, 6]}, "y", weights)
    for name in NAMES:
        strategy = catalog.make("plan/strategies", name)
        checked(strategy, graph, (1, 1))
        splits = {split.op: split for split in strategy.divide(tasked(graph, 2), (1, 1)).splits}
        assert len(splits["n"].parts) == 2
        assert [part.owner for part in splits["y"].parts] == [0]


def test_grouped_and_depthwise_layers(tmp_path: Path) -> None:
    """By output everywhere: input channels of a group are read by that group alone."""
    nodes = [
        node("Conv", "x u", "a"),
        node("Conv", "a v", "b", group=3, pads=[1, 1, 1, 1]),
        node("Conv", "b d", "c", group=12, pads=[1, 1, 1, 1]),
        node("Conv", "c w", "y"),
    ]
    weights = {
        "u": floats(6, 3, 1, 1),
        "v": floats(12, 2, 3, 3),
        "d": floats(12, 1, 3, 3),
        "w": floats(6, 12, 1, 1),
    }
    graph = small(tmp_path, nodes, {"x": [1, 3, 7, 7]}, "y", weights)
    for name in NAMES:
        for shares in ((1, 1), (2, 1), (1, 1, 1)):
            checked(catalog.make("plan/strategies", name), graph, shares)


def test_a_residual_join_is_added_part_by_part(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x v", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b w", "c", pads=[1, 1, 1, 1]),
        node("Add", "c x", "y"),
    ]
    graph = small(tmp_path, nodes, {"x": [1, 4, 6, 6]}, "y", {"v": floats(8, 4, 3, 3), "w": floats(4, 8, 3, 3)})
    for name in NAMES:
        checked(catalog.make("plan/strategies", name), graph, (3, 1))


def test_an_op_of_several_outputs_runs_everywhere(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x v", "a"),
        node("Split", "a", "left right", axis=1),
        node("Relu", "left", "l"),
        node("Concat", "right l", "s", axis=1),
        node("Conv", "s w", "y"),
    ]
    graph = small(
        tmp_path, nodes, {"x": [1, 4, 6, 6]}, "y", {"v": floats(8, 4, 1, 1), "w": floats(4, 8, 1, 1)}, opset=11
    )
    for name in NAMES:
        checked(catalog.make("plan/strategies", name), graph, (1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_more_shares_than_channels_name_the_layer_and_how_many_there_are(tmp_path: Path, name: str) -> None:
    nodes = [node("Conv", "x v", "a"), node("Conv", "a w", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 8, 4, 4]}, "y", {"v": floats(3, 8, 1, 1), "w": floats(8, 3, 1, 1)})
    with pytest.raises(PlanError, match=r"op 'a' .Conv. has too few channels for these shares") as caught:
        catalog.make("plan/strategies", name).divide(tasked(graph, 4), (1, 1, 1, 1))
    assert caught.value.exit_code == 2
    assert (caught.value.hint, caught.value.needed) == ("at most 3 equal shares", "one for each of 4 shares")
    with pytest.raises(PlanError, match="too few channels") as caught:
        catalog.make("plan/strategies", name).divide(tasked(graph, 3), (50, 1, 1))
    assert caught.value.hint == "more even shares"


def test_sequences_are_divided_along_their_features(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x v", "a"),
        node("Gelu", "a", "g"),
        node("MatMul", "g w", "m"),
        node("Add", "m x", "r"),
        node("LayerNormalization", "r s", "y"),
    ]
    weights = {"v": floats(6, 12), "w": floats(12, 6), "s": floats(6)}
    graph = small(tmp_path, nodes, {"x": [2, 5, 6]}, "y", weights, opset=20)
    for name in NAMES:
        checked(catalog.make("plan/strategies", name), graph, (2, 1))
    splits = ChannelPair().divide(tasked(graph, 2), (2, 1)).splits
    check(graph, splits)
    assert [part.inner for part in splits[2].parts] == [(0, 8), (8, 12)]

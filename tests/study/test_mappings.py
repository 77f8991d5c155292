"""Mappings that studies run: every op once, and layers shared wherever there is something to divide."""

from __future__ import annotations

from collections import Counter

import pytest

from shoal.graph import Graph, load
from shoal.study import _mappings as mappings
from shoal.study._bench import opened
from shoal.study._fronts import against
from tests.graph.models import light

UNITS = ("d-0/cpu", "d-1/cpu", "d-2/cpu")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load(light("shufflenet"))


@pytest.mark.parametrize("kind", mappings.SPREADS)
def test_whole_ops_each_on_one_unit(kind: str, graph: Graph) -> None:
    mapping = mappings.spread(graph, kind, UNITS)
    assert Counter(op for ops in mapping.values() for op in ops) == dict.fromkeys(graph.position, 1)
    assert len(mapping) > 1


def test_halves_hold_half_of_the_weights(graph: Graph) -> None:
    mapping = mappings.halved(graph, UNITS[:2])
    held = [sum(graph.ops[graph.position[op]].weights_bytes for op in ops) for ops in mapping.values()]
    largest = max(op.weights_bytes for op in graph.ops)
    assert abs(held[0] - held[1]) <= largest
    assert sum(held) == graph.weights_bytes


@pytest.mark.parametrize("kind", ["lop", "lip", "height", "width"])
def test_shared_layers_are_those_that_can_be(kind: str, graph: Graph) -> None:
    mapping = mappings.shared(graph, kind, UNITS[:2])
    entries = mapping.pop("split")
    assert {op for ops in mapping.values() for op in ops} | set(entries) == set(graph.position)
    shared = Counter(graph.ops[graph.position[op]].kind for op in entries)
    depthwise = sum(op.kind == "Conv" and graph.weights[op.weights[0]].shape[1] == 1 for op in graph.ops)
    assert depthwise > 0
    convolutions = Counter(op.kind for op in graph.ops)["Conv"]
    assert shared["Conv"] == convolutions - (depthwise if kind == "lip" else 0)
    assert shared["Gemm"] == (kind in ("lop", "lip"))


def test_a_mapping_becomes_a_plan_or_a_refusal_and_fronts_are_compared() -> None:
    with opened(0, lambda _: None) as bench:
        model, fleet = bench.load(light("squeezenet")), mappings.local(bench, 2)
        mapping = mappings.shared(model.graph, "lop", fleet.unit_names)
        assert mappings.mapped(bench, model, fleet, mapping, window=6).window == 6
        assert mappings.refusal(bench, model, fleet, mapping) == ""
        mapping["split"]["r0"][1] = [1, 2]
        assert "layer 'r0' (Conv, lop) do not fit" in mappings.refusal(bench, model, fleet, mapping)
        ours, theirs, share = against(model, fleet, fleet.unit_names, "chain_dp", "chain_dp:order=given")
        assert ours == theirs > 0
        assert share == pytest.approx(1.0)

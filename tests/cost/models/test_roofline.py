"""The roofline against its formula written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal import catalog
from shoal.cost import CostKey
from shoal.cost.models.roofline import Roofline
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph

OPS = ("h", "r", "y")


def by_hand(graph: Graph, speed: float = 1.0, peak: float = 1e9) -> list[float]:
    found = []
    for op in graph.ops:
        size = op.read_bytes + op.written_bytes + op.weights_bytes
        found.append(max(2 * op.macs / (peak * speed * 0.5), size / (1e9 * 0.7)) + 5e-6)
    return found


def test_each_op_takes_its_arithmetic_or_its_bytes(graph: Graph, fleet: Fleet) -> None:
    assert catalog.find("cost/models", "roofline") is Roofline
    costs = Roofline().over(graph, fleet, ())
    assert costs.op_seconds("a/cpu", "onnxruntime") == pytest.approx(by_hand(graph), rel=1e-12)
    whole = costs.estimate(CostKey(OPS, "a/cpu"))
    assert whole.seconds == pytest.approx(sum(by_hand(graph)), rel=1e-12)
    assert whole.seconds == pytest.approx(sum(v for k, v in whole.breakdown.items() if k.endswith("_s")))
    assert whole.joules == pytest.approx(4.0 * whole.seconds)
    assert whole.provenance == "predicted"
    assert 0 < whole.breakdown["weights_bytes"] < whole.resident_bytes < whole.peak_bytes


def test_format_and_operating_point_change_the_peak(graph: Graph, fleet: Fleet) -> None:
    costs = Roofline().over(graph, fleet, ())
    slow = costs.estimate(CostKey(("h",), "a/cpu", operating_point="slow"))
    assert slow.seconds == pytest.approx(by_hand(graph, speed=0.5)[0])
    assert slow.joules == pytest.approx(1.0 * slow.seconds)
    assert costs.estimate(CostKey(("h",), "a/cpu", format="int8")).seconds == pytest.approx(
        by_hand(graph, peak=4e9)[0]
    )
    assert costs.estimate(CostKey(("h",), "a/cpu", format="float16")).seconds == pytest.approx(by_hand(graph)[0])


def test_arithmetic_may_be_in_another_format_than_files_say(graph: Graph, fleet: Fleet) -> None:
    costs = Roofline(arithmetic="int8").over(graph, fleet, ())
    assert costs.op_seconds("a/cpu", "onnxruntime") == pytest.approx(by_hand(graph, peak=4e9), rel=1e-12)
    assert costs.estimate(CostKey(("h",), "a/cpu", format="float16")).seconds == pytest.approx(by_hand(graph)[0])


def test_an_op_reads_those_of_its_weights_that_an_item_meets(graph: Graph, fleet: Fleet) -> None:
    lean = replace(graph, ops=tuple(replace(op, macs=0, met_bytes=op.weights_bytes // 4) for op in graph.ops))
    moved = [op.read_bytes + op.written_bytes + op.weights_bytes // 4 for op in graph.ops]
    seconds = Roofline().over(lean, fleet, ()).op_seconds("a/cpu", "onnxruntime")
    assert seconds == pytest.approx([each / (1e9 * 0.7) + 5e-6 for each in moved], rel=1e-12)
    key = CostKey(OPS, "a/cpu")
    estimates = [Roofline().over(each, fleet, ()).estimate(key) for each in (lean, graph)]
    assert estimates[0].resident_bytes == estimates[1].resident_bytes  # all of them are held


def test_an_engine_runs_only_where_it_is(graph: Graph, fleet: Fleet) -> None:
    costs = Roofline().over(graph, fleet, ())
    assert np.isinf(costs.op_seconds("a/cpu", "ncnn")).all()
    assert np.isfinite(costs.op_seconds("b/cpu", "ncnn")).all()
    with pytest.raises(PlanError, match="no engine 'ncnn'"):
        costs.estimate(CostKey(OPS, "a/cpu", "ncnn"))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (CostKey(("nothing",), "a/cpu"), "no op 'nothing'"),
        (CostKey(OPS, "a/cpu", operating_point="turbo"), "no operating point 'turbo'"),
    ],
)
def test_what_is_not_there_is_refused(graph: Graph, fleet: Fleet, key: CostKey, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        Roofline().over(graph, fleet, ()).estimate(key)

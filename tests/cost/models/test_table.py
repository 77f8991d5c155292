"""Measured where this machine is meant, scaled where another is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from shoal.cost import CostKey, Costs, Traffic
from shoal.cost.models.roofline import Roofline
from shoal.cost.models.table import Table
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.graph import Graph
from shoal.measure import bench_subject, handling_subject, op_subject, segment_subject
from shoal.record import Sample
from tests.cost.toys import device

OPS = ("h", "r", "y")
MODEL = Table(machine="m")
OVERHEADLESS = "roofline:op_overhead_s=0"


def sample(
    subject: str, median_s: float, threads: int = 1, resident: int | None = None, machine: str = "m"
) -> Sample:
    peak = None if resident is None else resident + 5
    return Sample(
        subject, machine, "onnxruntime", "float32", threads, median_s, median_s, median_s, 3, resident, peak
    )


def ops(graph: Graph, seconds: tuple[float, ...], threads: int = 1) -> list[Sample]:
    return [
        sample(op_subject(graph.identity, name), each, threads) for name, each in zip(OPS, seconds, strict=True)
    ]


BENCHES = [sample(bench_subject("gemm", 10**9), 1.0), sample(bench_subject("stream", 10**9), 1.0)]


@pytest.fixture
def here_and_there() -> Fleet:
    """This machine with 2 cores, of which one is given to a worker; a board 2 × as fast as its one thread."""
    unit = Unit("cpu", 2, {"float32": 9e9}, 9e9, 4.0)
    here = Device("here", "this-machine", (unit,), 1 << 30, 1 << 30, 2.0, cores=(0,))
    both = Device("both", "this-machine", (unit,), 1 << 30, 1 << 30, 2.0)
    fast = Unit("cpu", 4, {"float32": 2e9}, 2e9, 4.0)
    board = Device("board", "toy", (fast,), 1 << 30, 1 << 30, 2.0)
    return Fleet((here, both, board), default_link=Link("l", (), 1e6, 0.0))


def test_this_machine_is_as_measured_at_its_threads(graph: Graph, here_and_there: Fleet) -> None:
    samples = ops(graph, (3e-3, 0.0, 1e-3)) + ops(graph, (2e-3, 0.0, 1e-3), threads=2)
    costs = MODEL.over(graph, here_and_there, samples)
    assert costs.op_seconds("here/cpu", "onnxruntime").tolist() == [3e-3, 0.0, 1e-3]
    one, two = (costs.estimate(CostKey(OPS, unit)) for unit in ("here/cpu", "both/cpu"))
    assert (one.seconds, two.seconds) == (pytest.approx(4e-3), pytest.approx(3e-3))
    assert one.provenance == two.provenance == "measured"
    parts = [one.breakdown[name] for name in ("compute_s", "memory_s", "overhead_s")]
    assert sum(parts) == pytest.approx(4e-3)


def test_another_thread_count_is_a_guess(graph: Graph, here_and_there: Fleet) -> None:
    both = MODEL.over(graph, here_and_there, ops(graph, (3e-3, 0.0, 1e-3))).estimate(CostKey(OPS, "both/cpu"))
    assert (both.seconds, both.provenance) == (pytest.approx(4e-3), "predicted")


def test_a_measured_segment_overrides_the_sum(graph: Graph, here_and_there: Fleet) -> None:
    whole = sample(segment_subject(graph.identity, OPS), 3.5e-3, resident=1000)
    costs = MODEL.over(graph, here_and_there, [*ops(graph, (3e-3, 0.0, 1e-3)), whole])
    found = costs.estimate(CostKey(OPS, "here/cpu"))
    assert (found.seconds, found.provenance) == (3.5e-3, "measured")
    runtime = round(found.breakdown["runtime_bytes"])
    assert (found.resident_bytes, found.peak_bytes) == (runtime + 1000, runtime + 1005)
    assert costs.estimate(CostKey(OPS[:2], "here/cpu")).seconds == pytest.approx(3e-3)


def test_a_board_scales_each_op_by_its_own_efficiency(graph: Graph, here_and_there: Fleet) -> None:
    model = Table(OVERHEADLESS, "m", gemm_of_peak=1.0, parallel_share=1.0)
    expected_here = _toy_seconds(graph)
    measured = (expected_here[0] * 3, 0.0, expected_here[2] * 0.5)
    costs = model.over(graph, here_and_there, ops(graph, measured) + BENCHES)
    found = costs.op_seconds("board/cpu", "onnxruntime")
    assert found == pytest.approx([measured[0] / 2, 0.0, measured[2] / 2])
    estimate = costs.estimate(CostKey(OPS, "board/cpu"))
    assert (estimate.seconds, estimate.provenance) == (pytest.approx(sum(found)), "predicted")


def test_cores_fall_short_and_a_bench_is_no_peak(graph: Graph, here_and_there: Fleet) -> None:
    plain, real = (
        Table(OVERHEADLESS, "m", gemm_of_peak=1.0, parallel_share=1.0),
        Table(OVERHEADLESS, "m", gemm_of_peak=1.0, parallel_share=0.9),
    )
    samples = ops(graph, (1e-6, 0.0, 1e-6)) + BENCHES
    one, four = (
        m.over(graph, here_and_there, samples).op_seconds("board/cpu", "onnxruntime") for m in (plain, real)
    )
    assert four == pytest.approx(one * (0.9 + 4 * 0.1))
    cautious = dataclasses.replace(plain, gemm_of_peak=0.25).over(graph, here_and_there, samples)
    assert (cautious.op_seconds("board/cpu", "onnxruntime") >= one).all()


def test_a_measurement_beyond_reason_is_clipped(graph: Graph, here_and_there: Fleet) -> None:
    model = Table(OVERHEADLESS, "m", gemm_of_peak=1.0, parallel_share=1.0)
    costs = model.over(graph, here_and_there, ops(graph, (1.0, 0.0, 1e-30)) + BENCHES)
    expected = _toy_seconds(graph)
    assert costs.op_seconds("board/cpu", "onnxruntime") == pytest.approx(
        [expected[0] * 10 / 2, 0.0, expected[2] * (0.5 / 2.25) / 2]
    )


@pytest.mark.parametrize("unit", ["here/cpu", "board/cpu"])
def test_without_samples_it_is_the_fallback(graph: Graph, here_and_there: Fleet, unit: str) -> None:
    others = [sample(op_subject(graph.identity, "h"), 1.0, machine="another")]
    key = CostKey(OPS, unit)
    assert MODEL.over(graph, here_and_there, others).estimate(key) == _plain(graph, here_and_there).estimate(key)


def test_ops_without_a_sample_come_from_the_fallback(graph: Graph, here_and_there: Fleet) -> None:
    costs = MODEL.over(graph, here_and_there, ops(graph, (3e-3, 0.0, 1e-3))[:1])
    expected = _plain(graph, here_and_there).op_seconds("here/cpu", "onnxruntime")
    assert costs.op_seconds("here/cpu", "onnxruntime") == pytest.approx([3e-3, expected[1], expected[2]])
    assert costs.estimate(CostKey(OPS, "here/cpu")).provenance == "predicted"
    assert costs.estimate(CostKey(OPS[:1], "here/cpu")).provenance == "measured"


@pytest.mark.parametrize("unit", ["here/cpu", "board/cpu"])
def test_an_engine_that_refused_the_model_is_out_unless_asked_for(
    graph: Graph, here_and_there: Fleet, unit: str
) -> None:
    refused = [dataclasses.replace(each, repeats=0) for each in ops(graph, (0.0, 0.0, 0.0))]
    costs = MODEL.over(graph, here_and_there, refused + BENCHES)
    assert np.isinf(costs.op_seconds(unit, "onnxruntime")).all()
    expected = _plain(graph, here_and_there).estimate(CostKey(OPS, unit))
    assert costs.estimate(CostKey(OPS, unit)) == expected


def test_an_engine_nobody_measured_does_not_compete_with_one_that_was(graph: Graph, here_and_there: Fleet) -> None:
    unit = dataclasses.replace(here_and_there.unit("board/cpu"), engines=("onnxruntime", "ncnn"))
    fleet = Fleet((dataclasses.replace(here_and_there.device("board"), units=(unit,)),))
    samples = ops(graph, (3e-3, 0.0, 1e-3)) + BENCHES
    assert np.isinf(MODEL.over(graph, fleet, samples).op_seconds("board/cpu", "ncnn")).all()
    assert np.isfinite(MODEL.over(graph, fleet, BENCHES).op_seconds("board/cpu", "ncnn")).all()


def test_an_engine_that_is_not_there_stays_impossible(graph: Graph, here_and_there: Fleet) -> None:
    assert np.isinf(MODEL.over(graph, here_and_there, BENCHES).op_seconds("here/cpu", "ncnn")).all()


def _plain(graph: Graph, fleet: Fleet) -> Costs:
    return Roofline().over(graph, fleet, ())


def _toy_seconds(graph: Graph) -> list[float]:
    """What the roofline says of one thread here by the benches: 1 Gflop/s, 1 GB/s."""
    toy = Fleet((device("toy"),))
    return Roofline(op_overhead_s=0.0).over(graph, toy, ()).op_seconds("toy/cpu", "onnxruntime").tolist()


def test_a_throttled_device_takes_longer_in_proportion(graph: Graph, here_and_there: Fleet) -> None:
    here = here_and_there.devices[0]
    slow = dataclasses.replace(here, name="slow", speed=0.25)
    fleet = dataclasses.replace(here_and_there, devices=(here, slow))
    own = [sample(segment_subject(graph.identity, ("h",)), 7e-3)]
    costs = MODEL.over(graph, fleet, ops(graph, (3e-3, 0.0, np.nan)) + own)  # of the last op nothing is known
    fast, throttled = (costs.op_seconds(f"{name}/cpu", "onnxruntime") for name in ("here", "slow"))
    assert throttled == pytest.approx(fast * 4)
    for part in (OPS, ("h",)):
        quick, late = (costs.estimate(CostKey(part, f"{name}/cpu")) for name in ("here", "slow"))
        assert (late.seconds, late.joules) == (pytest.approx(4 * quick.seconds), pytest.approx(4 * quick.joules))
    assert (quick.provenance, late.provenance) == ("measured", "predicted")


def test_what_surrounds_a_segment_counts_at_the_speed_of_its_device(graph: Graph, here_and_there: Fleet) -> None:
    constants = {"call_s": 1e-3, "receive_s": 1e-4, "send_s": 2e-4, "copy_s_per_byte": 1e-9, "ops_share": 0.5}
    samples = [
        dataclasses.replace(sample(handling_subject(name), value), engine=way)
        for way, factor in (("shm", 1.0), ("shaped", 10.0))
        for name, value in ((name, value * factor) for name, value in constants.items())
    ]
    around = Traffic(received=3, sent=2, copied_bytes=10**6)
    measured = ops(graph, (3e-3, 0.0, 1e-3))
    costs = MODEL.over(graph, here_and_there, [*measured, *samples])
    wanted_s = 1e-3 + 3e-4 + 4e-4 + 1e-3 + 0.5 * 4e-3
    assert costs.estimate(CostKey(OPS, "here/cpu", traffic=around)).seconds == pytest.approx(4e-3 + wanted_s)
    assert costs.estimate(CostKey(OPS, "here/cpu")).seconds == pytest.approx(4e-3)
    board = costs.estimate(CostKey(OPS, "board/cpu"))
    assert costs.estimate(CostKey(OPS, "board/cpu", traffic=around)) == board  # of it nothing is known

    slow = dataclasses.replace(here_and_there.devices[0], speed=0.25)
    throttled = MODEL.over(graph, Fleet((slow,)), [*measured, *samples])
    assert throttled.estimate(CostKey(OPS, "here/cpu", traffic=around)).seconds == pytest.approx(
        4 * (4e-3 + 10 * wanted_s)
    )

"""The array as an accelerator: exact in whole numbers, time of the mapped loop, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from shoal import catalog, fleet, graph
from shoal.cost import CostKey
from shoal.errors import InputError, LimitError
from shoal.machines.accelerators import calls
from shoal.machines.accelerators.cgra import Cgra
from tests.machines.calls import CASES, case


@pytest.mark.parametrize("options", [{}, {"unroll": 4}, {"array": "conventional"}], ids=str)
def test_whole_numbers_come_through_exactly(options: dict[str, object]) -> None:
    call, _, _ = case("MatMul of two inputs")
    source = np.random.default_rng(0)
    left, right = source.integers(-127, 128, (1, 2, 9, 16)), source.integers(-127, 128, (1, 2, 16, 9))
    left.flat[0] = right.flat[0] = 127  # so that the scale is one
    data = {"x": left.astype(np.float32), "k": right.astype(np.float32)}
    machine = Cgra(**options)  # type: ignore[arg-type]
    found = machine.run(machine.compiled(call), data).outputs["y"]
    np.testing.assert_array_equal(found, (left @ right).astype(np.float32))


@pytest.mark.parametrize("op", ["Gemm", "Conv of groups"])
def test_each_cycle_carried_out_gives_what_all_entries_at_once_give(op: str) -> None:
    call, data, _ = case(op)
    quick, slow = Cgra(array="conventional"), Cgra(array="conventional", stepped=True)
    one, other = (each.run(each.compiled(call), data) for each in (quick, slow))
    np.testing.assert_array_equal(one.outputs["y"], other.outputs["y"])
    assert (one.cycles, one.energy_j) == (other.cycles, other.energy_j)


def test_cycles_are_those_of_the_mapped_loop() -> None:
    call, _, _ = case("MatMul")  # (5, 24) by (24, 40)
    machine = Cgra(memory_bytes_per_s=1e12)
    task = machine.compiled(call)
    ran = machine.run(task)
    assert task.mapping.ii == 1
    assert ran.cycles == 5 * 40 * (24 - 1 + task.mapping.length)
    assert ran.counters["mul"] == 5 * 40 * 24 * 2  # one of them for the index
    assert ran.counters["buffer"] == 5 * 40 * 24 * 3 * 4  # two loads and a store of four bytes
    assert ran.seconds == pytest.approx(ran.cycles / machine.clock_hz + machine.start_s)
    assert {"array", "port"} < {span.part for span in ran.trace}


def test_depthwise_convolutions_give_a_result_an_iteration() -> None:
    call, _, _ = case("Conv of groups")
    task = Cgra(array="conventional").compiled(call)
    assert task.loop.entries == 8
    assert task.loop.iterations == 2 * 4 * 4
    assert task.loop.graph.memory == 9 + 1


def test_what_does_not_fit_is_refused_by_name() -> None:
    call, _, _ = case("MatMul")
    with pytest.raises(LimitError, match=r"tensor 'w'.*needed 960 B, had 900 B"):
        Cgra(memory_bytes=900).compiled(call)
    with pytest.raises(LimitError, match="more configurations than the array holds"):
        Cgra(rows=1, columns=1, contexts=2).compiled(call)
    with pytest.raises(InputError, match="rows 0"):
        Cgra(rows=0)


FLEET = """
[devices.node]
memory = "256 MiB"
idle = "0 W"
[devices.node.units.array]
cores = 1
busy = "0 W"
bandwidth = "400 MB/s"
peak = { float32 = "1 Gflop/s" }
engines = ["simulated:machine=cgra+array=conventional"]
"""


def test_a_plan_reckons_with_the_mapped_loop(tmp_path: Path) -> None:
    made = CASES["Gemm"]()
    ir.save(made, tmp_path / "gemm.onnx")
    loaded = graph.load(tmp_path / "gemm.onnx")
    engine = "simulated:machine=cgra+array=conventional"
    costs = catalog.make("cost/models", "machines").over(loaded, fleet.loads(FLEET, "a test"), ())
    (call,) = calls(loaded.model)
    machine = Cgra(array="conventional")
    task = machine.compiled(call)
    ran = machine.run(task)
    names = tuple(op.name for op in loaded.ops)
    found = costs.estimate(CostKey(names, "node/array", engine))
    assert found.seconds == pytest.approx(3 * 12 * task.mapping.cycles(20) / machine.clock_hz + machine.start_s)
    assert found.seconds == pytest.approx(ran.seconds)
    assert found.joules == pytest.approx(ran.joules - ran.energy_j["static"])  # which is the device's idle power

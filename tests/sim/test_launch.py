"""Launches in simulated time, against the recurrence, formulas for even work, and a queue that is really there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import FleetError, InputError
from shoal.fleet import board
from shoal.measure.queue import Work
from shoal.measure.trace import queue_metrics
from shoal.sim import launch_system, simulate_launches

LAUNCH_S = 3.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40))
def test_kernels_begin_when_they_were_launched_and_the_device_is_free(steps: list[tuple[int, int]]) -> None:
    emitted = [float(sum(gap for gap, _ in steps[: at + 1])) for at in range(len(steps))]
    trace = simulate_launches(["k"] * len(steps), emitted, [float(length) for _, length in steps], LAUNCH_S)
    free = 0.0
    for at_s, (_, length), kernel in zip(emitted, steps, trace.kernels, strict=True):
        assert kernel.begin_s == max(at_s + LAUNCH_S, free)
        free = kernel.end_s
        assert kernel.end_s == kernel.begin_s + length


@pytest.mark.parametrize("kernel_s", [4.0, 10.0, 25.0])
def test_even_work_waits_as_the_formula_says(kernel_s: float) -> None:
    count, every_s = 50, 10.0
    emitted = [every_s * (at + 1) for at in range(count)]
    found = queue_metrics(simulate_launches(["k"] * count, emitted, [kernel_s] * count, LAUNCH_S))
    late_s = max(0.0, kernel_s - every_s)
    assert found.tklqt_s == pytest.approx(count * LAUNCH_S + late_s * count * (count - 1) / 2)
    assert found.mean_kernel_s == kernel_s


def test_a_slower_host_and_a_faster_device_have_their_knee_later() -> None:
    works = [Work("mm", 2e9, 1e7, product=True)] * 20
    slow, fast = (launch_system(board(name)) for name in ("h100-80gb-pcie", "gh200-96gb"))
    assert fast.host_s == 2 * slow.host_s
    assert fast.kernel_s(works[0]) < slow.kernel_s(works[0])
    assert fast.kernel_s(Work("view", 0, 0)) == fast.least_s
    copied = [queue_metrics(slow.run(works, each)).latency_s for each in (0.0, 64e6)]
    assert copied[1] - copied[0] == pytest.approx(1e-3 + slow.coupling.launch_s)


def test_fused_launches_take_the_host_less_and_the_device_as_much() -> None:
    system = launch_system(board("gh200-96gb"))
    works = [Work("add", 1e6, 1e6)] * 12
    every, halves = (queue_metrics(system.run(works, groups=each)) for each in (None, [range(6), range(6, 12)]))
    assert halves.kernels == 2
    assert halves.mean_kernel_s == pytest.approx(6 * every.mean_kernel_s)
    assert every.latency_s == pytest.approx(12 * system.host_s + system.coupling.launch_s + every.mean_kernel_s)
    assert halves.latency_s == pytest.approx(2 * system.host_s + system.coupling.launch_s + halves.mean_kernel_s)


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(InputError):
        simulate_launches([], [], [], 0.0)
    with pytest.raises(InputError):
        simulate_launches(["a", "b"], [2.0, 1.0], [1.0, 1.0], 0.0)
    with pytest.raises(FleetError, match="hangs on its host"):
        launch_system(board("l4"))
    with pytest.raises(FleetError, match="no peak"):
        launch_system(board("gh200-96gb"), "cpu")

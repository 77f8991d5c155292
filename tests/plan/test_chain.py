from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import PlanError
from shoal.plan.chain import Chain, Group, device_loads, evaluate, feasible, group_bytes


def small() -> Chain:
    """Three pieces on three units; units 1 and 2 are one device."""
    busy = np.array([0.0, 2.0, 4.0, 0.0])[:, None, None] * np.ones((3, 3))
    return Chain(
        seconds=np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 4.0], [np.inf, 2.0, 1.0]]),
        joules=np.array([[5.0, 1.0, 2.0], [6.0, 1.0, 2.0], [7.0, 1.0, 2.0]]),
        weights_bytes=np.array([[10.0], [20.0], [30.0]]) * np.ones(3),
        live_bytes=np.array([[3.0], [8.0], [1.0]]) * np.ones(3),
        cut_bytes=np.array([1.0, 2.0, 4.0, 1.0]),
        hop_s=busy + 0.5,
        hop_busy_s=busy,
        send_j=np.array([1.0, 2.0, 3.0]),
        recv_j=np.array([10.0, 20.0, 30.0]),
        entry_s=np.array([0.25, 0.0, 0.0]),
        exit_s=np.array([0.0, 0.0, 0.125]),
        idle_w=np.array([2.0, 3.0, 3.0]),
        device_of=np.array([0, 1, 1]),
        base_bytes=np.array([100.0, 50.0, 60.0]),
        memory_limit=np.array([np.inf, 198.0, 198.0]),
        window=2,
    )


def test_one_unit_alone() -> None:
    score = evaluate(small(), [(0, 3, 1)])
    assert score == (5.0, 5.0, 3.0 * 5.0 + 3.0, 50 + 60 + 8 + 2 * (1 + 1))


def test_two_devices_pay_the_hop_on_both_sides() -> None:
    chain = small()
    groups = [(0, 1, 0), (1, 3, 1)]
    score = evaluate(chain, groups)
    assert score.latency_s == 0.25 + 1 + (2 + 0.5) + 3
    assert score.period_s == 3
    loads = device_loads(chain, groups)
    assert loads[0] == (5 + 1 * 2, 100 + 10 + 3 + 2 * (1 + 2))
    assert loads[1] == (2 + 20 * 2, 50 + 50 + 8 + 2 * (2 + 1))
    assert score.energy_j == max(2.0 * 3 + 7, 3.0 * 3 + 42)
    assert score.memory_bytes == max(loads[0].memory_bytes, loads[1].memory_bytes)


def test_units_of_one_device_share_memory_and_send_nothing() -> None:
    chain = small()
    groups = [(0, 2, 1), (2, 3, 2)]
    score = evaluate(chain, groups)
    assert score.latency_s == 3 + 4.5 + 1 + 0.125
    assert score.period_s == 4  # the hop's busy time
    memory = group_bytes(chain, 0, 2, 1) + group_bytes(chain, 2, 3, 2)
    assert device_loads(chain, groups) == {1: (2 + 2, memory)}
    assert score.energy_j == 3.0 * 4 + 4


def test_feasible_minds_gaps_ways_and_limits() -> None:
    chain = small()
    assert feasible(chain, [(0, 3, 1)])
    assert not feasible(chain, [(0, 3, 0)])  # piece 2 has no time on unit 0
    assert not feasible(chain, [(0, 2, 1), (2, 3, 2)])  # 98 + 101 bytes in 198
    assert feasible(replace(chain, memory_limit=np.full(3, 300.0)), [(0, 2, 1), (2, 3, 2)])
    walled = replace(chain, hop_s=np.full((4, 3, 3), np.inf))
    assert not feasible(walled, [(0, 1, 0), (1, 3, 1)])


def test_no_idle_power_and_no_end_of_time_is_no_energy() -> None:
    chain = replace(small(), idle_w=np.zeros(3))
    assert evaluate(chain, [(0, 3, 0)]) == (np.inf, np.inf, 18.0, 100 + 60 + 8 + 4)


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [(0, 2, 1)],
        [(1, 3, 1)],
        [(0, 1, 1), (1, 3, 1)],
        [(0, 1, 0), (2, 3, 1)],
        [(0, 3, 3)],
        [(0, 3, 1), (3, 3, 2)],
    ],
)
def test_groups_that_do_not_divide_are_refused(groups: list[Group]) -> None:
    with pytest.raises(PlanError, match="do not divide"):
        evaluate(small(), groups)


def test_a_chain_refuses_wrong_figures_at_the_door() -> None:
    chain = small()
    with pytest.raises(PlanError, match=r"cut_bytes: an array of another shape"):
        replace(chain, cut_bytes=np.zeros(3))
    with pytest.raises(PlanError, match=r"joules\[1, 2\]"):
        replace(chain, joules=np.where(np.arange(9).reshape(3, 3) == 5, np.nan, chain.joules))
    with pytest.raises(PlanError, match=r"idle_w\[0\]"):
        replace(chain, idle_w=np.array([-1.0, 3.0, 3.0]))
    with pytest.raises(PlanError, match=r"cut_bytes\[3\]"):
        replace(chain, cut_bytes=np.array([1.0, 2.0, 4.0, np.inf]))
    with pytest.raises(PlanError, match="disagree"):
        replace(chain, memory_limit=np.array([1.0, 2.0, 3.0]))
    with pytest.raises(PlanError, match="window"):
        replace(chain, window=0)
    with pytest.raises(PlanError, match="pieces and units"):
        replace(chain, seconds=np.empty((0, 3)))

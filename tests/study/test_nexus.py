"""The study of active messages: references of its workloads, pruning, the map of heat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shoal.machines.nexus import MessageArray, laplacian, numbered, rmat, small_world
from shoal.study import Chart, Series
from shoal.study._charts import drawn
from shoal.study._nexus_compared import compared, heat
from shoal.study._nexus_layers import pruned
from shoal.study._nexus_workloads import levels_of, ranks_of, sddmm_of, spmspm_of, spmv_of


def test_levels_of_a_ring_are_the_ways_round_it() -> None:
    ring = small_world(10, 2, 0.0)
    assert levels_of(ring, 0)[0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1]


def test_ranks_sum_to_one_and_a_ring_has_no_first() -> None:
    ranks, _ = ranks_of(rmat(5, 60), 50)
    assert abs(ranks.sum() - 1) < 1e-9
    assert np.ptp(ranks_of(small_world(10, 2, 0.0), 50)[0]) < 1e-12


def test_pruning_leaves_the_largest() -> None:
    values = np.arange(-10, 10, dtype=np.float32)
    left = pruned(values, 0.7)
    assert np.count_nonzero(left) <= 0.35 * len(values)
    assert (np.abs(left[left != 0]) >= 7).all()


def test_all_machines_do_the_same_work() -> None:
    matrix = numbered(laplacian(6))
    for workload in (spmv_of("", matrix, 0), spmspm_of("", matrix, matrix), sddmm_of("", matrix, 4, 0)):
        found = compared(workload, MessageArray())
        for run in (found.messages, found.adaptive, found.tia, found.valiant):
            assert workload.off(run) == 0
            assert run.counts["product"] + run.counts["sum"] == workload.useful
        assert 0 < found.cgra.useful < found.cgra.busy <= 1
        assert len(list(found.rows())) == 5


def test_heat_has_a_row_a_place_and_no_more_than_every_cycle() -> None:
    array = replace(MessageArray(), columns=3, rows=2)
    workload = spmv_of("", numbered(laplacian(12)), 0)
    chart = heat("SpMV", workload.run(array))
    assert len(chart.series) == 6
    assert 0 < max(value for each in chart.series for value in each.y if value is not None) <= 1


def test_a_map_of_heat_is_drawn_row_by_row() -> None:
    chart = Chart(
        "", "cycle", "share", (Series("a", [0, 8], [0.5, 1]), Series("b", [0, 8], [0, 0.25])), kind="heat"
    )
    (data,) = drawn(chart)["data"]
    assert (data["type"], data["z"], data["y"]) == ("heatmap", [[0.5, 1], [0, 0.25]], ["a", "b"])

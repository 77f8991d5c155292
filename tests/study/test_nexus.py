"""The study of active messages: references of its workloads, pruning, the map of heat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, LimitError
from shoal.machines.nexus import MessageArray, laplacian, numbered, rmat, small_world, uniform
from shoal.study import Chart, Series, conduct, job
from shoal.study._charts import drawn
from shoal.study._nexus_compared import compared, heat
from shoal.study._nexus_layers import pruned
from shoal.study._nexus_workloads import (
    distance_wave,
    distances_of,
    levels_of,
    ranks_of,
    sddmm_of,
    spmspm_of,
    spmv_of,
    workload_of,
)
from shoal.study.nexus import Nexus


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
        found = compared(workload, MessageArray(), lanes=2)
        for run in (found.messages, found.adaptive, found.tia, found.valiant):
            assert workload.off(run) == 0
            assert run.counts["product"] + run.counts["sum"] == workload.useful
        assert 0 < found.cgra.useful < found.cgra.busy <= 1
        assert len(list(found.rows())) == 5


def test_ways_are_told_in_rounds_until_none_is_nearer() -> None:
    ring = numbered(small_world(10, 2, 0.0), 1)
    distances, wave = distances_of(ring, 0), distance_wave(ring, 0)
    np.testing.assert_array_equal(distances, levels_of(ring, 0)[0])
    assert wave.rounds == 6  # five on, and one in which none is nearer
    assert np.count_nonzero(wave.nearer) == np.count_nonzero(wave.fresh) == 9
    assert len(wave.vertex) == 20


def test_a_file_is_run_on_all_machines(tmp_path: Path) -> None:
    path = tmp_path / "ring.mtx"
    path.write_text("%%MatrixMarket matrix coordinate real symmetric\n4 4 4\n2 1 .5\n3 2 1\n4 3 2\n4 1 4\n")
    result = conduct(job(f"nexus:matrix={path},op=spmv+sssp,lanes=1,array=2x2", tmp_path / "result.json"))
    assert result.findings == ()
    machines, *_, values = [each.table for each in result.exhibits if each.table is not None]
    assert [row[1] for row in machines.rows] == 2 * ["Nexus", "TIA-like", "TIA-Valiant", "generic CGRA", "systolic"]
    assert [row[1] for row in values.rows] == ["float32", "float32"]
    assert all(float(row[2] or 0) < 1e-6 for row in values.rows)


def test_what_a_file_cannot_be_used_for_is_refused(tmp_path: Path) -> None:
    wide = numbered(uniform(3, 4, 1.0))
    with pytest.raises(InputError, match=r"no kernel 'fft'.*spmv, spmspm, sddmm, bfs, pagerank, sssp"):
        workload_of("fft", "a.mtx", wide, MessageArray(), 4, 3, 0)
    with pytest.raises(InputError, match=r"a.mtx: 'bfs' of a matrix that is not square .*3×4"):
        workload_of("bfs", "a.mtx", wide, MessageArray(), 4, 3, 0)
    with pytest.raises(LimitError, match=r"tensor 'a.mtx': .*needed 39.1 KiB, had 32 KiB"):
        workload_of("sssp", "a.mtx", numbered(uniform(141, 141, 1.0)), MessageArray(), 4, 3, 0)
    for sides in ("4", "4xx4", "4x-1", "0x4"):
        with pytest.raises(InputError):
            list(Nexus(array=sides).run(None))  # type: ignore[arg-type]  # it is refused before the bench is used


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

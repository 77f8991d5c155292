"""Machine models: hand-computed cases, rates they may not exceed, and effects they must show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.machines import Dataflow, Gpu, MachineTimes, machine_samples
from shoal.measure import Sizes, drawn_works
from shoal.record import KINDS, KernelWork

MACHINES = catalog.names("machines")


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_machine_beats_its_own_peaks(name: str, kind: Any) -> None:
    machine = catalog.make("machines", name)
    peak = machine.flops_per_s if name == "gpu" else 2 * 1664 * machine.clock_hz
    for work in drawn_works(kind, 100, Sizes(rows=(1, 100_000), columns=(1, 2048), inner=(1, 2048)), 7):
        least_bytes = work.out_bytes + work.weights_bytes + work.structure_bytes
        assert machine.seconds(work) > (least_bytes / machine.bytes_per_s)
        if kind != "elementwise":
            products = work.flops if kind != "attention" else 4 * work.rows * work.seen * work.columns
            assert machine.seconds(work) > products / peak


def test_a_gpu_product_by_hand() -> None:
    """One round of 104 tiles of 128 × 128: 2·128²·K flops each at 22.6e12/104."""
    gpu = Gpu(tiles=(128,))
    work = KernelWork("gemm", 128 * 104, 128, 4096)
    seconds = 8e-6 + 1.5e-6 + 2 * 128 * 128 * 4096 * 104 / 22.6e12
    assert gpu.seconds(work) == pytest.approx(seconds)
    one_more = KernelWork("gemm", 128 * 104 + 1, 128, 4096)
    assert gpu.seconds(one_more) == pytest.approx(2 * seconds - 8e-6)


def test_dataflow_products_by_hand() -> None:
    card = Dataflow(bytes_per_s=1e15)
    assert card.seconds(KernelWork("gemm", 64, 32, 1000)) == pytest.approx(3e-6 + (2000 + 64 + 400) / 300e6)
    # 6,400 non-zeros on 64 elements: 100 on average, 100 + sqrt(2·100·ln 64) in the fullest; two passes of 8 columns
    cycles = 2 * (int(np.ceil(100 + np.sqrt(200 * np.log(64)))) + 10 + 10)
    assert card.seconds(KernelWork("spmm", 640, 16, 640, 6400)) == pytest.approx(3e-6 + (cycles + 400) / 300e6)


def test_the_gpu_loses_where_work_is_small_and_irregular_and_wins_where_it_is_large_and_dense() -> None:
    gpu, card = Gpu(), Dataflow()
    small, large = KernelWork("spmm", 1000, 16, 1000, 4000), KernelWork("gemm", 20_000, 512, 512)
    assert card.seconds(small) < gpu.seconds(small)
    assert gpu.seconds(large) < card.seconds(large) / 5


def test_gathers_beyond_the_cache_cost_more_a_non_zero() -> None:
    gpu = Gpu(launch_s=0.0, load_s=0.0)
    within, beyond = (KernelWork("spmm", rows, 128, rows, 50 * rows) for rows in (10_000, 1_000_000))
    assert gpu.seconds(beyond) / beyond.nnz > 1.5 * gpu.seconds(within) / within.nnz


def test_samples_repeat_and_scatter_about_the_machine() -> None:
    works = drawn_works("gemm", 400, Sizes(), 1)
    one, other = (machine_samples(Gpu(), works, "g", noise=0.1, seed=3) for _ in range(2))
    assert one == other
    errors = np.log([each.seconds / Gpu().seconds(each.work) for each in one])
    assert abs(errors.mean()) < 0.02
    assert 0.08 < errors.std() < 0.12


def test_a_type_without_a_machine() -> None:
    with pytest.raises(InputError, match="no machine stands for 'tpu'"):
        MachineTimes({"gpu": Gpu()}).seconds(KernelWork("gemm", 1, 1, 1), "tpu")

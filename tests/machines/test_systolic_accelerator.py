"""The systolic array: exact in whole numbers, cycles by hand, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import InputError, LimitError
from shoal.machines import energy
from shoal.machines.accelerators.systolic import Systolic
from tests.machines.calls import case


def test_whole_numbers_come_through_exactly() -> None:
    call, _, _ = case("MatMul of two inputs")
    source = np.random.default_rng(0)
    left, right = source.integers(-127, 128, (1, 2, 9, 16)), source.integers(-127, 128, (1, 2, 16, 9))
    left.flat[0] = right.flat[0] = 127  # so that the scale is one
    data = {"x": left.astype(np.float32), "k": right.astype(np.float32)}
    machine = Systolic(rows=4, columns=5)
    found = machine.run(machine.compiled(call), data).outputs["y"]
    np.testing.assert_array_equal(found, (left @ right).astype(np.float32))


def test_cycles_and_energy_of_a_product_counted_by_hand() -> None:
    call, _, _ = case("MatMul")  # (5, 24) by (24, 40)
    machine = Systolic(rows=4, columns=16, memory_bytes_per_s=1e12)
    ran = machine.run(machine.compiled(call))
    assert ran.cycles == 2 * 3 * (24 + 4 + 16 - 2)
    assert ran.counters["mac"] == 2 * 4 * 3 * 16 * 24
    assert ran.counters["dram"] == 5 * 24 + 24 * 40 + 5 * 40 * 4
    of_one = energy("int", "mul", 8).energy_j + energy("int", "add", 32).energy_j
    assert ran.energy_j["mac"] == pytest.approx(ran.counters["mac"] * of_one)


def test_a_narrow_port_decides() -> None:
    call, _, _ = case("MatMul")
    fast, slow = Systolic(), replace(Systolic(), memory_bytes_per_s=1e6)
    assert slow.run(slow.compiled(call)).seconds > 50 * fast.run(fast.compiled(call)).seconds


def test_a_tensor_larger_than_memory_is_refused_with_its_name() -> None:
    call, _, _ = case("MatMul")
    with pytest.raises(LimitError, match=r"tensor 'w'.*needed 960 B, had 900 B"):
        Systolic(memory_bytes=900).compiled(call)


def test_a_machine_without_multipliers_is_none() -> None:
    with pytest.raises(InputError, match="rows 0"):
        Systolic(rows=0)

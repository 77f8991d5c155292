"""The systolic array: exact in whole numbers, cycles by hand, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import InputError, LimitError
from shoal.machines import energy
from shoal.machines.accelerators.contract import Call, Operand
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


def traffic_bytes(name: str, machine: Systolic) -> float:
    call, _, _ = case(name)
    return machine.run(machine.compiled(call)).counters["dram"]


def test_what_does_not_stay_in_half_of_the_buffer_is_read_again_in_the_order_that_reads_less() -> None:
    left, right, results = 5 * 24, 24 * 40, 5 * 40 * 4  # on 4 by 16: two rows of tiles, three columns
    machine = Systolic(rows=4, columns=16)
    assert traffic_bytes("MatMul", machine) == left + right + results
    left_stays = replace(machine, buffer_bytes=2 * left)
    assert traffic_bytes("MatMul", left_stays) == left + right + results
    assert traffic_bytes("MatMul", replace(machine, buffer_bytes=2 * left - 1)) == 3 * left + right + results
    wide = replace(machine, rows=5, buffer_bytes=1)  # one row of tiles: nothing is read again
    assert traffic_bytes("MatMul", wide) == left + right + results


def test_a_picture_is_read_once_if_the_lines_of_a_filter_stay() -> None:
    picture, weights, results = 2 * 4 * 6 * 6, 8 * 9, 2 * 8 * 4 * 4 * 4
    machine = Systolic()
    assert traffic_bytes("Conv of groups", machine) == picture + weights + results
    lines = 3 * 6  # of one channel: a group has no more
    assert traffic_bytes("Conv of groups", replace(machine, buffer_bytes=2 * lines)) == picture + weights + results
    patches = 4 * (2 * 4 * 4) * 9
    small = replace(machine, buffer_bytes=2 * lines - 1)
    assert traffic_bytes("Conv of groups", small) == patches + weights + results


def test_pixels_that_strides_pass_over_are_not_read() -> None:
    call = Call("y", "Conv", (Operand("x", "float32", (1, 2, 9, 9)), Operand("w", "float32", (3, 2, 1, 1))),
                (Operand("y", "float32", (1, 3, 3, 3)),), {"strides": [4, 4]})  # fmt: skip
    machine = Systolic()
    assert machine.run(machine.compiled(call)).counters["dram"] == 2 * 9 + 2 * 3 + 3 * 9 * 4


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

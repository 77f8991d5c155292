"""Rivals of the array of messages: intervals and conflicts by hand, and the accelerator in front of the array."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import InputError, LimitError, ModelError
from shoal.machines.accelerators.nexus import Nexus
from shoal.machines.nexus import Loop, MessageArray, Traffic, VectorLoop, cgra, systolic
from shoal.machines.nexus._cgra import FILL, Schedule, _cycles
from tests.machines.calls import case

ARRAY = MessageArray()
FREE = Traffic(0, 0, 0, 0)


def test_the_interval_is_what_slots_and_chains_ask() -> None:
    far = np.full((10, 1), -1)
    assert _cycles(Schedule(16, far, 1, FILL, 0), 16) == 10 + FILL
    assert _cycles(Schedule(17, far, 1, FILL, 0), 16) == 20 + FILL
    assert _cycles(Schedule(4, far, 3, FILL, 0), 16) == 30 + FILL
    assert _cycles(Schedule(16 * 17, far, 1, FILL, 0), 16) == 0


def test_requests_to_one_bank_hold_up_the_array() -> None:
    apart, same = np.array([[0, 1, 2]] * 5), np.array([[0, 16, 32]] * 5)
    assert _cycles(Schedule(3, apart, 1, 0, 0), 16) == 5
    assert _cycles(Schedule(3, same, 1, 0, 0), 16) == 5 * 3
    assert _cycles(Schedule(3, np.array([[0, 16, -1]] * 5), 1, 0, 0), 16) == 5 * 2


def test_a_gather_from_one_bank_takes_longer_than_one_over_all() -> None:
    def loop(addresses: np.ndarray) -> Loop:
        return Loop(np.full(16, 16), (addresses,), 1, 3, 1, 2, 1, 1)

    spread, one = loop(np.arange(256)), loop(np.arange(256) * 16)
    assert cgra(ARRAY, one, FREE, 512).cycles > cgra(ARRAY, spread, FREE, 512).cycles


def test_no_schedule_beats_the_slots() -> None:
    loop = VectorLoop(np.full(8, 32), np.tile(np.arange(32), 8), 16)
    macs = 8 * 32 * 16
    found = cgra(ARRAY, loop, FREE, 2 * macs)
    assert found.cycles >= 3 * macs / ARRAY.places
    assert found.useful < found.busy <= 1


def test_the_port_bounds_every_rival() -> None:
    traffic = Traffic(before=160, beside=16_000, after=32, products=0)
    assert traffic.cycles(100, 16) == 10 + 1000 + 2
    assert traffic.cycles(5000, 16) == 10 + 5000 + 2
    assert systolic(ARRAY, ((8, 20, 4),), FREE, 0).cycles == 2 * (20 + 4 + 4 - 2)


def test_layers_in_float32_are_those_of_onnx_and_in_integers_nearly() -> None:
    for op in ("MatMul, pruned", "Gemm", "Conv", "Conv of groups"):
        call, data, wanted = case(op)
        for values, near in (("float32", 1e-6), ("int16", 1e-3)):
            machine = Nexus(values=values)  # type: ignore[arg-type]
            found = machine.run(machine.compiled(call), data).outputs["y"]
            assert np.abs(found - wanted).max() <= near * np.abs(wanted).max(), (op, values)


def test_zeros_among_the_weights_cost_nothing() -> None:
    call, _, _ = case("MatMul, pruned")
    machine = Nexus()
    task = machine.compiled(call)
    assert machine.run(task).counters["product"] == task.weights[0].count * 4
    assert task.weights[0].count < 0.5 * 32 * 40


def test_what_it_has_no_unit_for_is_refused() -> None:
    with pytest.raises(ModelError, match="weights that are known beforehand"):
        Nexus().compiled(case("MatMul of two inputs")[0])
    with pytest.raises(LimitError, match=r"tensor 'w'.*had 100 B"):
        Nexus(memory_bytes=100).compiled(case("MatMul")[0])
    with pytest.raises(LimitError, match=r"tensor 'w'.*needed 208 B, had 128 B"):
        Nexus(columns=2, rows=2, words=16).compiled(case("MatMul")[0])
    with pytest.raises(InputError, match="columns 0"):
        replace(Nexus(), columns=0)

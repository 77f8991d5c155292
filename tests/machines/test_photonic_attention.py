"""Attention in light: values against numpy, events and areas by hand, the queue cycle by cycle, what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError, ModelError
from shoal.machines import energy
from shoal.machines._area import area, area_table
from shoal.machines._compiled import plain
from shoal.machines.accelerators import Call, Operand, accelerator, calls, standing_in
from shoal.machines.accelerators import _photonic_queue as queue
from shoal.machines.accelerators._photonic_parts import Parts, laser_w, mac_mm2
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from tests.machines.calls import case, model

QUIET = PhotonicAttention(start_s=0.0)


def matmul(rows: int, inner: int, columns: int) -> Call:
    inputs = (Operand("x", "float32", (rows, inner)), Operand("w", "float32", (inner, columns)))
    return Call("y", "MatMul", inputs, (Operand("y", "float32", (rows, columns)),))


def whole_operands(
    seed: int, rows: int, inner: int, columns: int, most: int = 127
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole numbers whose scale is one: each row of the left and each column of the right has 127 in it."""
    source = np.random.default_rng(seed)
    left, right = (
        source.integers(-most, most + 1, (rows, inner)),
        source.integers(-most, most + 1, (inner, columns)),
    )
    left[:, 0], right[0] = 127, 127
    return left, right


def split(
    left: NDArray[np.int64], right: NDArray[np.int64], wavelengths: int, low: int, high: int
) -> tuple[NDArray[np.float64], int]:
    """Sum by sum, as written in the paper: in Python's own numbers."""
    step = wavelengths * 127**2 / 2 ** (high - 1)
    found, large = np.zeros((len(left), right.shape[1])), 0
    for row in range(len(left)):
        for column in range(right.shape[1]):
            for at in range(0, left.shape[1], wavelengths):
                part = sum(
                    int(x) * int(y)
                    for x, y in zip(
                        left[row, at : at + wavelengths], right[at : at + wavelengths, column], strict=True
                    )
                )
                code = round(part / step)
                if -(2 ** (low - 1)) <= code < 2 ** (low - 1):
                    found[row, column] += code * step
                elif low < high:
                    found[row, column] += part
                    large += 1
                else:
                    found[row, column] += (2 ** (low - 1) - 1 if code > 0 else -(2 ** (low - 1))) * step
    return found, large


@pytest.mark.parametrize(("low", "high"), [(4, 8), (2, 8), (8, 8), (4, 4), (6, 10)])
def test_values_and_large_results_are_those_of_the_rule(low: int, high: int) -> None:
    left, right = whole_operands(3, 14, 31, 13, most=60)
    machine = replace(QUIET, low_bits=low, high_bits=high)
    task = machine.compiled(matmul(14, 31, 13))
    data = {"x": left.astype(np.float32), "w": right.astype(np.float32)}
    expected, large = split(left, right, 12, low, high)
    np.testing.assert_allclose(machine.run(task, data).outputs["y"], expected, rtol=1e-6)
    assert machine.sums(task, data).highs.sum() == large
    assert (large > 0) == (low < high)


def test_what_is_large_is_exact() -> None:
    """With a single row of the largest values every sum is beyond the small converters."""
    machine = PhotonicAttention(encoding_noise=0.02, additive_noise=2**-9, low_bits=2)
    task = machine.compiled(matmul(3, 24, 5))
    ran = machine.run(task, {"x": np.full((3, 24), 2.0, np.float32), "w": np.full((24, 5), 3.0, np.float32)})
    np.testing.assert_allclose(ran.outputs["y"], np.full((3, 5), 24 * 6.0), rtol=1e-6)
    assert ran.counters["queue"] == machine.results(task) == 3 * 5 * 2


def test_noise_has_the_width_that_was_asked_for_and_is_drawn_anew_by_another_seed() -> None:
    machine = PhotonicAttention(low_bits=12, high_bits=12, additive_noise=2**-9)
    task = machine.compiled(matmul(120, 12, 120))
    left, right = whole_operands(0, 120, 12, 120)
    data = {"x": left.astype(np.float32), "w": right.astype(np.float32)}
    off = machine.sums(task, data).values - left @ right
    assert off.std() == pytest.approx(machine.additive_noise * machine.conversion.full_scale, rel=0.03)
    other = replace(machine, seed=1)
    assert not np.array_equal(other.sums(task, data).values, machine.sums(task, data).values)


def test_encoding_noise_grows_with_the_sum() -> None:
    machine = PhotonicAttention(low_bits=16, high_bits=16, encoding_noise=0.02)
    ones = np.ones((240, 12), np.float32)
    found = machine.sums(machine.compiled(matmul(240, 12, 240)), {"x": ones, "w": ones.T}).values
    assert found[found < 12].size > 0
    assert np.std(np.minimum(found, 12)) == pytest.approx(
        0.02 * 12 * np.sqrt(0.5 - 0.5 / np.pi), rel=0.03
    )  # half is cut


def test_a_scale_of_a_tile_leaves_fewer_results_large() -> None:
    call, data, _ = case("MatMul of two inputs")
    rows, tiles = (replace(QUIET, scale_of=each) for each in ("row", "tile"))
    large = [each.sums(each.compiled(call), data).highs.sum() for each in (rows, tiles)]
    assert large[0] > large[1]


def test_events_and_energy_of_one_tile_by_hand() -> None:
    """12 × 24 by 24 × 12: two shots of one core, the others idle. No result is large."""
    machine = replace(QUIET, cores=1)
    task = machine.compiled(matmul(12, 24, 12))
    ran = machine.taken(task, np.array([[0, 0]]))
    assert ran.cycles == 2
    assert ran.seconds == pytest.approx(2 / 5e9)
    assert ran.counters == {
        "dac": 2 * 288, "modulator": 2 * 288, "modulators_ns": pytest.approx(0.4 * 288), "receiver": 2 * 144,
        "receivers_ns": pytest.approx(0.4 * 144), "adc": 2 * 144, "comparator": 4 * 144, "sum": 2 * 144, "mac": 0, "queue": 0,
        "operand": 2 * 288, "buffer": 12 * 24 * 2 + 144 * 4, "dram": 0, "laser": pytest.approx(0.4e-9),
    }  # fmt: skip
    assert ran.energy_j["dac"] == pytest.approx(576 * energy("lightening dac", "convert", 8, 0).energy_j)
    assert ran.energy_j["adc"] == pytest.approx(288 * energy("adc survey", "convert", 4).energy_j)
    assert ran.energy_j["static"] == pytest.approx(machine.static_w * ran.seconds)
    assert ran.energy_j["laser"] == pytest.approx(machine.laser_w * ran.seconds)
    assert ran.energy_j["modulators_ns"] == pytest.approx(0.4 * 288 * 0.55e-12)


def test_large_results_cost_multiplications_operands_and_places_in_the_queue() -> None:
    machine = replace(QUIET, cores=1)
    task = machine.compiled(matmul(12, 24, 12))
    none, some = machine.taken(task, np.array([[0, 0]])), machine.taken(task, np.array([[5, 20]]))
    assert some.counters["adc"] == none.counters["adc"] - 25
    assert (some.counters["queue"], some.counters["mac"]) == (25, 25 * 12)
    assert (
        some.counters["operand"] == none.counters["operand"] + (2 * 5 + 24) * 12
    )  # no row and column twice a shot


def test_light_that_waits_still_takes_its_laser_and_modulators() -> None:
    machine = replace(QUIET, cores=1, macs=1, queue_entries=4)
    task = machine.compiled(matmul(12, 24, 12))
    quick, slow = machine.taken(task, np.array([[0, 0]])), machine.taken(task, np.array([[30, 30]]))
    assert slow.cycles > 300 * quick.cycles
    for name in ("static", "laser", "modulators_ns", "receivers_ns"):
        assert slow.energy_j[name] == pytest.approx(quick.energy_j[name] * slow.cycles / quick.cycles)
    assert "waited" in slow.trace[0].what


def played(highs: Sequence[int], macs: int, rate: int, every: int, entries: int) -> list[int]:
    return [int(each) for each in queue.played(np.array(highs, np.int64), macs, rate, every, entries)]


def test_the_queue_by_hand() -> None:
    """Results of ten products, five products a cycle of one shot: two cycles a result."""
    assert played([0, 0, 0], 10, 5, 1, 4) == [3, 3, 0, 0, 0]
    assert played([1], 10, 5, 1, 4) == [3, 1, 0, 2, 1]
    assert played([1, 1], 10, 5, 1, 4) == [5, 2, 0, 4, 2]  # the second waits for the first one's second half
    # One place: the second result enters in cycle 2, when the first is done, and the third shot goes in that cycle.
    assert played([1, 1, 0], 10, 5, 1, 1) == [5, 3, 0, 4, 1]
    assert played([2, 0], 10, 5, 1, 1) == [5, 3, 1, 4, 1]  # light waits for the second one's place in cycle 1


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
    st.integers(1, 24),
    st.integers(1, 60),
    st.integers(1, 5),
    st.integers(1, 30),
)
def test_a_queue_serves_all_and_never_holds_too_much(
    highs: list[int], macs: int, rate: int, every: int, entries: int
) -> None:
    cycles, light, stalls, busy, longest = found = played(highs, macs, rate, every, entries)
    assert found == [
        int(each) for each in plain(queue).played(np.array(highs, np.int64), macs, rate, every, entries)
    ]
    assert light == len(highs) + stalls
    assert light <= cycles
    assert longest <= entries
    assert busy >= ceil(sum(highs) * macs / rate)
    assert cycles >= busy * every - every + 1
    roomy = played(highs, macs, rate, every, 1_000)
    assert roomy[0] <= cycles
    assert roomy[1:3] == [len(highs), 0]


def test_the_tile_that_every_core_takes() -> None:
    """Five tiles on two cores: three steps of as many shots as a tile has."""
    machine = replace(QUIET, cores=2)
    task = machine.compiled(matmul(60, 36, 12))
    assert machine.taken(task, np.zeros((5, 3), np.int64)).cycles == 3 * 3


def test_without_a_split_there_is_nothing_of_it() -> None:
    machine = replace(QUIET, low_bits=8, macs=7, queue_entries=9)
    ran = machine.run(machine.compiled(matmul(30, 40, 30)))
    assert not {"mac", "queue", "comparator"} & (set(ran.counters) | set(machine.core_mm2))
    other = replace(machine, macs=4000)
    assert other.area_mm2 == machine.area_mm2
    assert other.run(other.compiled(matmul(30, 40, 30))).energy_j == ran.energy_j


def test_areas_by_hand() -> None:
    found = QUIET.core_mm2
    assert found["dac"] == pytest.approx(288 * 11000e-6)
    assert found["adc"] == pytest.approx(144 * 11284e-6)
    assert found["mac"] == pytest.approx(512 * mac_mm2() + 288 * 8 * 4.522e-6)
    assert mac_mm2() == pytest.approx((282 + 137 + 48 * 4.522) * 1e-6)
    assert QUIET.area_mm2 == pytest.approx(4 * sum(found.values()) + 2 * 2**20 * 8 * 0.6e-6)


def test_light_by_hand() -> None:
    losses = {"modulator": 1000, "filter": 500, "splitter": 100, "shifter": 300, "coupler": 200}
    lost_db = 1 + 2 * 0.5 + (2 + 1) * 0.1 + 0.3 + 0.2  # four engines: a tree of two levels
    assert laser_w(16, 4, 256, 1e-6, losses, 0.2) == pytest.approx(16 * 256 * 1e-6 * 10 ** (lost_db / 10) / 0.2)


def test_converters_by_exponents_and_never_below_noise() -> None:
    parts = Parts("lightening", "survey", 1.0, 0.5)
    eight = energy("adc survey", "convert", 8)
    assert parts.conversion(4) == ((2.0**-4, eight),)
    assert parts.conversion_mm2(4) == pytest.approx(area("adc survey 8 bits").area_mm2 / 4)
    ((count, row),) = replace(parts, energy_exponent=0.01).conversion(16)
    assert row.item == "adc thermal floor"
    assert count == 4.0**16


def test_weights_stream_and_activations_stay() -> None:
    (call,) = calls(model("MatMul", {"x": (5, 24)}, {"w": np.ones((24, 40), np.float32)}, (5, 40)))
    slow = replace(QUIET, memory_bytes_per_s=1e6)
    ran = slow.run(slow.compiled(call))
    assert ran.counters["dram"] == 24 * 40
    assert ran.cycles == ceil(24 * 40 / 1e6 * 5e9)
    both, _, _ = case("MatMul of two inputs")
    assert slow.run(slow.compiled(both)).counters["dram"] == 0


def test_values_stand_in_where_no_data_are() -> None:
    call, _, _ = case("Gemm")
    task = QUIET.compiled(call)
    np.testing.assert_array_equal(QUIET.run(task).outputs["y"], QUIET.run(task, standing_in(call)).outputs["y"])


def test_ops_that_are_no_products_of_matrices_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"op 'y': no unit for 'Conv' \(needed Gemm, MatMul\)"):
        QUIET.compiled(case("Conv")[0])


def test_what_does_not_fit_is_refused_by_tensor() -> None:
    with pytest.raises(
        LimitError, match=r"tensor 'x': does not fit into the machine's buffer .*needed 1.17 KiB, had 1 KiB"
    ):
        replace(QUIET, buffer_bytes=1024).compiled(matmul(40, 30, 10))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("low_bits=9", r"needed low_bits from 2 to 8, had 9"),
        ("low_bits=1", r"had 1"),
        ("encoding_noise=-0.1", "encoding_noise -0.1"),
        ("additive_noise=-1e-9", "additive_noise -1e-09"),
        ("wavelengths=0", "wavelengths 0"),
        ("operand_bits=1", "had 1"),
        ("scale_of=tensor", "no scale of a 'tensor'"),
        ("devices=glass", "no devices 'glass'"),
        ("adc=none", "no adc 'none'"),
    ],
)
def test_machines_that_cannot_be(options: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        accelerator(f"photonic_attention+{options}")


def test_areas_say_where_they_come_from() -> None:
    rows = area_table()
    assert len({(row.item, row.node_nm) for row in rows}) == len(rows)
    for row in rows:
        assert 0 < row.low <= row.high
        assert row.unit == "um2"
        assert row.source
        assert row.certainty in {"paper", "recalled", "assumed"}

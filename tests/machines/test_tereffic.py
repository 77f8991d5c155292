"""The ternary core: exact sums, cycles and energy by hand, what memory and logic a card has."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError, ModelError
from shoal.formats import Coded
from shoal.graph.build import from_model
from shoal.machines import energy
from shoal.machines.accelerators import accelerator, calls
from shoal.machines.accelerators._ternary import STORED, Job, Packing, streamed
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.train.ternary import Stored, ternary_graph
from tests.machines.calls import CASES, case
from tests.machines.ternary_calls import products, ternary_call, whole


@settings(max_examples=40, deadline=None)
@given(products(), st.integers(1, 80), st.integers(1, 50), st.sampled_from(sorted(STORED)), st.booleans())
def test_sums_are_exact_and_cycles_those_of_the_formula(
    drawn: tuple[NDArray[np.int8], NDArray[np.float32]], at_once: int, wide: int, packing: Packing, hbm: bool
) -> None:
    trits, x = drawn
    machine = Tereffic(
        inputs_at_once=at_once, outputs_at_once=wide, packing=packing, weights="hbm" if hbm else "resident"
    )
    ran = machine.run(machine.compiled(ternary_call(trits, 0.25, len(x))), {"x": x})
    np.testing.assert_array_equal(ran.outputs["y"], (x.astype(np.int64) @ trits * 0.25).astype(np.float32))
    work = len(x) * ceil(trits.shape[0] / at_once) * ceil(trits.shape[1] / wide)
    assert sum(span.end - span.begin for span in ran.trace if span.part == "engine") == work
    if not hbm:
        assert ran.cycles == work + machine.fill_cycles


def test_whole_models_count_the_cycles_of_a_run() -> None:
    for machine in (Tereffic(), Tereffic(weights="hbm", hbm_channels=1), Tereffic(weights="hbm", packing="2")):
        call = ternary_call(np.ones((300, 260), np.int8), 1.0, 3)
        ran = machine.run(machine.compiled(call))
        assert streamed(machine.jobs("w", 300, 260, 3)).cycles + machine.fill_cycles == ran.cycles
        assert machine.packed_bytes(300, 260) == ran.counters["weights"]


def test_energy_counted_by_hand() -> None:
    machine = Tereffic(weights="hbm", cards=1)
    ran = machine.run(machine.compiled(ternary_call(np.ones((128, 128), np.int8), 1.0, 2)))
    packed = ceil(128 * 128 / 5)
    assert ran.counters == {"trit": 2 * 128 * 128, "weights": packed, "hbm": packed, "link": 0}
    assert ran.energy_j["trit"] == pytest.approx(2 * 128 * 128 * energy("fpga lane", "trit", 8, 16).energy_j)
    assert ran.energy_j["hbm"] == pytest.approx(packed / 8 * energy("hbm2", "read", 64, 16).energy_j)
    assert ran.cycles == ceil(packed / 1024) + 2 + 6  # one load of 32 channels of 32 bytes, two rows, the filling
    assert ran.energy_j["static"] == pytest.approx(10 * ran.cycles / 250e6)


def test_loads_wait_for_a_buffer_and_work_for_its_load() -> None:
    took = streamed([Job("a", 10, 3), Job("b", 10, 3), Job("c", 1, 3), Job("d", 1, 3, drain=5)])
    spans = [(span.part, span.what, span.begin, span.end) for span in took.spans]
    assert spans == [
        ("port", "a", 0, 3), ("engine", "a", 3, 13), ("port", "b", 3, 6), ("engine", "b", 13, 23),
        ("port", "c", 13, 16), ("engine", "c", 23, 24), ("port", "d", 23, 26), ("engine", "d", 26, 27),
    ]  # fmt: skip
    assert (took.cycles, took.port, took.engine) == (32, 12, 22)


@pytest.mark.parametrize("name", ["tereffic", "tellme"])
def test_packed_codes_of_a_file_are_ternary_weights(name: str) -> None:
    codes = np.random.default_rng(1).integers(0, 3, (40, 24)).astype(np.uint8)
    coded = Coded(codes, {"scales": np.full((1, 1), 0.125, np.float32)})
    graph = ternary_graph(from_model(CASES["MatMul"](), "one", "", ""), {"y": Stored("tern5x8t", coded, False)})
    (call,) = calls(graph.model)
    machine, x = accelerator(name), whole(5, 24, 2)
    found = machine.run(machine.compiled(call), {"x": x}).outputs["y"]
    np.testing.assert_array_equal(found, (x @ (codes.T.astype(np.float32) - 1)) * np.float32(0.125))


@pytest.mark.parametrize("name", ["tereffic", "tellme"])
def test_weights_of_another_kind_are_refused_with_their_name(name: str) -> None:
    machine = accelerator(name)
    for op in ("MatMul", "Gemm"):
        with pytest.raises(ModelError, match=rf"{name}, tensor 'w': the weights are not ternary.*-s, 0 or s"):
            machine.compiled(case(op)[0])
    with pytest.raises(ModelError, match="op 'y': no unit for products without one constant matrix"):
        machine.compiled(case("MatMul of two inputs")[0])
    with pytest.raises(ModelError, match="no unit for 'Conv'"):
        machine.compiled(case("Conv")[0])


@pytest.mark.parametrize(("packing", "wrong"), [("5in8", 243), ("2", 3), ("8", 7)])
def test_bytes_that_stand_for_no_weights_are_refused(packing: Packing, wrong: int) -> None:
    with pytest.raises(InputError, match=r"no five trits|not ternary"):
        STORED[packing].unpacked(np.array([wrong], np.uint8), (1, 1))


def test_a_matrix_beyond_a_card_is_refused_with_its_bytes() -> None:
    call = ternary_call(np.ones((500, 400), np.int8), 1.0, 1)
    with pytest.raises(
        LimitError, match=r"tensor 'w': does not fit on a card \(needed 39.1 KiB, had 36 KiB\)"
    ) as caught:
        Tereffic(inputs_at_once=1, outputs_at_once=25, urams=1, brams=0).compiled(call)
    assert caught.value.hint == "weights=hbm streams them"


def test_a_core_beyond_a_card_is_none() -> None:
    with pytest.raises(InputError, match=r"too large for a card \(needed 1802240 look-up tables, had 1303680\)"):
        Tereffic(inputs_at_once=1280)
    with pytest.raises(InputError, match=r"too narrow for the core \(needed 26216 bits a cycle, had 720\)"):
        Tereffic(urams=10, brams=0)
    with pytest.raises(InputError, match="clock_hz 0"):
        Tereffic(clock_hz=0.0)

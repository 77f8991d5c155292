"""The accelerator of vision transformers with experts: values, cycles and blocks by hand, schedules, an image's time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.engines import machine_of
from shoal.errors import InputError, LimitError, ModelError
from shoal.fleet import board
from shoal.machines import Fixed, energy
from shoal.machines.accelerators import Call, Operand, accelerator
from shoal.machines.accelerators.edge_moe import EdgeMoe
from shoal.machines.edge_moe import (
    SCHEDULES,
    GeluTable,
    Shape,
    Stage,
    Ways,
    best,
    bram_of,
    drawn_choices,
    dsp_of,
    frame,
    gelu,
    loads,
    port_words,
    queues,
    schedule,
    separate,
    single_pass,
    spans,
    two_pass,
)
from shoal.machines.edge_moe._schedules import NONE, fetching, skewed_steps
from tests.machines.calls import case

SMALL = Shape(patches=8, patch_features=16, width=16, heads=2, layers=4, hidden=32, experts=4, expert_hidden=16)


def test_a_product_with_weights_counted_by_hand() -> None:
    call, data, _ = case("MatMul")  # (5, 24) by (24, 40)
    machine = EdgeMoe()
    ran = machine.run(machine.compiled(call), data)
    load = 24 * 40 * 16 // 256
    assert ran.cycles == load + 5 * 2 * 3  # tiles of 16 × 16; a word of eight features a cycle is no slower
    assert ran.counters["dsp"] == 5 * 2 * 3 * 256 * 2
    assert ran.counters["ddr"] == 24 * 40 * 2 + 5 * (24 + 40) * 4
    assert ran.energy_j["ddr"] == pytest.approx(ran.counters["ddr"] / 8 * energy("ddr4", "move", 64, 16).energy_j)
    assert ran.seconds == pytest.approx(ran.cycles / 300e6 + machine.start_s)


def test_values_are_those_of_whole_numbers() -> None:
    call, data, _ = case("MatMul")
    weights = call.inputs[1].values  # type: ignore[union-attr]  # it has two
    form = Fixed(16, 2).holding(weights)
    left = np.floor(data["x"].astype(object) * 2**22 + 0.5)
    exact = left @ form.coded(weights).astype(object)
    wanted = [
        [float((int(each) + 2 ** (form.fraction - 1)) >> form.fraction) * 2.0**-22 for each in row] for row in exact
    ]
    machine = EdgeMoe()
    found = machine.run(machine.compiled(call), data).outputs["y"]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


def test_a_bias_is_held_in_sixteen_bits() -> None:
    values = np.array([0.00012345, 1.5], np.float32)
    call = Call("y", "Gemm", (
        Operand("x", "float32", (1, 2)), Operand("w", "float32", (2, 2), lambda: np.zeros((2, 2), np.float32)),
        Operand("b", "float32", (2,), lambda: values)), (Operand("y", "float32", (1, 2)),))  # fmt: skip
    machine = EdgeMoe()
    found = machine.run(machine.compiled(call), {"x": np.ones((1, 2), np.float32)}).outputs["y"]
    np.testing.assert_array_equal(found, [[0.0, 1.5]])


def test_a_product_of_features_goes_to_attention_and_has_to_make_words() -> None:
    call, _, _ = case("MatMul of two inputs")  # two heads, 9 queries of 16 features, 9 keys
    machine = EdgeMoe()
    ran = machine.run(machine.compiled(call))
    assert ran.cycles == 2 * (2 * 9 + 0 + 9) * 2  # heads × (two whole blocks of four, one query more) × words
    assert ran.counters["dsp"] == ran.cycles * 4 * 8 * 4
    with pytest.raises(ModelError, match=r"whole words.*needed a multiple of 8 features, had 12 and 9"):
        machine.compiled(of_features(9, 12, 9))
    with pytest.raises(LimitError, match=r"row exceeds its slot.*needed 8 KiB, had 4 KiB"):
        machine.compiled(of_features(4, 2048, 8))


def of_features(rows: int, inner: int, columns: int) -> Call:
    operands = [Operand("x", "float32", (1, rows, inner)), Operand("k", "float32", (1, inner, columns))]
    return Call("y", "MatMul", tuple(operands), (Operand("y", "float32", (1, rows, columns)),))


def test_patches_side_by_side_are_tokens_and_others_are_refused() -> None:
    weights = Operand("w", "float32", (6, 3, 2, 2), lambda: np.full((6, 3, 2, 2), 0.5, np.float32))
    call = Call("y", "Conv", (Operand("x", "float32", (1, 3, 4, 4)), weights), (Operand("y", "float32", (1, 6, 2, 2)),),
                {"strides": [2, 2]})  # fmt: skip
    machine = EdgeMoe()
    found = machine.run(machine.compiled(call), {"x": np.ones((1, 3, 4, 4), np.float32)}).outputs["y"]
    np.testing.assert_array_equal(found, np.full((1, 6, 2, 2), 6.0))
    with pytest.raises(ModelError, match="'Conv' but of patches that lie side by side"):
        machine.compiled(replace(call, attributes={"strides": [1, 1]}))


def test_weights_beyond_a_buffer_come_in_blocks_and_those_beyond_a_tile_not_at_all() -> None:
    call, data, expected = case("MatMul")
    small = EdgeMoe(weight_buffer_bytes=24 * 16 * 2)
    task = small.compiled(call)
    assert len(task.stages) == 3
    np.testing.assert_allclose(small.run(task, data).outputs["y"], expected, atol=2e-3)
    with pytest.raises(
        LimitError, match=r"tensor 'w': a tile's weights exceed the buffer \(needed 768 B, had 767 B\)"
    ):
        EdgeMoe(weight_buffer_bytes=767).compiled(call)


def test_designs_beyond_the_device_say_what_is_lacking() -> None:
    with pytest.raises(InputError, match=r"too few BRAM blocks \(needed \d+, had 912\)") as caught:
        EdgeMoe(weight_buffer_bytes=4 << 20)
    assert "'linear'" in (caught.value.hint or "")
    with pytest.raises(InputError, match=r"too few DSP blocks \(needed 4048, had 2520\)"):
        EdgeMoe(slots=48)
    with pytest.raises(InputError, match="rows 0"):
        EdgeMoe(rows=0)


def test_blocks_counted_by_hand() -> None:
    assert [dsp_of(*bits) for bits in ((27, 18), (32, 16), (32, 18), (32, 32), (16, 16))] == [1, 2, 2, 4, 1]
    assert bram_of(72, 4608) == 1
    assert bram_of(73, 4608) == 2
    assert bram_of(4096, 288 << 10) == 57 * 2


def test_loading_hides_behind_computing_with_two_buffers_alone() -> None:
    stages = [Stage("linear", name, 10, load) for name, load in (("a", 4), ("b", 12), ("c", 3))]
    assert spans(stages, 2, 1.0)[-1].end == 4 + 12 + 10 + 10
    assert spans(stages, 1, 1.0)[-1].end == 4 + 10 + 12 + 10 + 3 + 10
    slow = [Stage("linear", "a", 10, feature_bytes=100.0)]
    assert spans(slow, 2, 4.0)[-1].end == 25
    shared = [*slow, Stage("linear", "b", 10, 5, weight_bytes=60.0)]
    assert spans(shared, 2, 4.0)[-1].end == 40 + 10


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=8))
def test_two_buffers_are_never_slower_and_nothing_is_faster_than_its_units(parts: list[tuple[int, ...]]) -> None:
    stages = [Stage("linear", "", 1 + compute, load, feature_bytes=features, weight_bytes=weights)
              for compute, load, features, weights in parts]  # fmt: skip
    two, one = (max(each.end for each in spans(stages, buffers, 2.0)) for buffers in (2, 1))
    assert two <= one
    assert two >= max(sum(each.compute for each in stages), sum(each.load for each in stages))
    assert 2 * two >= sum(each.feature_bytes + each.weight_bytes for each in stages)
    assert one >= sum(each.compute + each.load for each in stages)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 30), st.integers(1, 30), st.integers(1, 16))
def test_schedules_meet_every_pair_once(name: str, rows: int, keys: int, slots: int) -> None:
    made = schedule(name, rows, keys, slots)
    busy = made.queries != NONE
    met = sorted(zip(made.queries[busy], made.keys[busy], strict=True))
    assert met == [(row, key) for row in range(rows) for key in range(keys)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 16))
def test_the_skewed_schedule_fetches_and_ends_one_row_a_step(rows: int, keys: int, slots: int) -> None:
    made = schedule("skewed", rows, keys, slots)
    fetched, met, ended = made.new_rows()
    assert max(fetched.max(), met.max(), ended.max()) == 1
    assert made.steps == skewed_steps(rows, keys, slots) == fetching("skewed", rows, keys, slots)[0]
    assert fetched.sum() == ended.sum() == rows


def test_ports_are_as_wide_for_any_number_of_slots_with_the_skewed_schedule_alone() -> None:
    words = {name: [port_words(129, 129, slots, name) for slots in (1, 2, 4, 8, 16)] for name in SCHEDULES}
    assert words["skewed"] == [(2, 1)] * 5
    assert words["rows"] == [(1 + slots, slots) for slots in (1, 2, 4, 8, 16)]
    assert [queries_and_keys for queries_and_keys, _ in words["columns"]] == [2, 3, 5, 9, 17]
    assert skewed_steps(129, 129, 4) == 33 * 129


def test_softmax_in_one_pass_is_that_in_two() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 129)) * 20
    for one, two in zip(single_pass(rows), two_pass(rows), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_gelu_by_table_is_near_and_even_beyond_its_end() -> None:
    form = Fixed(32, 10)
    values = np.concatenate([np.linspace(-8, 8, 4001), [-511.0, 511.0, 5.3125, 5.3124, -5.3125]])
    off = np.abs(form.decoded(GeluTable(form).of(form.coded(values))) - gelu(values))
    assert off.max() < 1.5e-4
    coarse = form.decoded(GeluTable(form, 2).of(form.coded(values)))
    assert np.abs(coarse - gelu(values)).max() > 1e-3
    with pytest.raises(InputError, match="had 22"):
        GeluTable(form, 22)


def test_experts_are_loaded_once_and_empty_ones_never() -> None:
    chosen = np.array([[0, 2], [2, 0], [0, 5], [5, 2]])
    found = loads(chosen)
    assert (found.by_expert, found.by_token) == (3, 8)
    assert found.by_token_kept == 2 + 0 + 1 + 1  # 0 2, 2 0, 0 (kept) 5, 5 (kept) 2
    assert {expert: tokens.tolist() for expert, (tokens, _) in queues(chosen).items()} == {
        0: [0, 1, 2], 2: [0, 1, 3], 5: [2, 3]}  # fmt: skip
    np.testing.assert_array_equal(best(np.array([[1, 5, 5, 2]]), 2), [[1, 2]])


def test_leaving_an_idea_out_costs_what_it_saved() -> None:
    machine, chosen = EdgeMoe(), drawn_choices(SMALL)
    whole = frame(machine, SMALL, chosen)
    one_slot = replace(machine, slots=1)
    assert frame(one_slot, SMALL, chosen, Ways(attention="rows")).cycles == frame(one_slot, SMALL, chosen).cycles
    assert frame(machine, SMALL, chosen, Ways(attention="columns")).cycles > whole.cycles
    assert frame(machine, SMALL, chosen, Ways(single_pass=False)).cycles == whole.cycles + 4 * 21
    assert frame(replace(machine, buffers=1), SMALL, chosen).cycles > whole.cycles
    alone = [np.column_stack([np.zeros(9, int), np.ones(9, int)])[:, :1] for _ in range(2)]
    single = replace(SMALL, chosen=1)
    tokens, experts = (frame(machine, single, alone, Ways(order=order)) for order in ("tokens", "experts"))
    assert tokens.counters["ddr"] - experts.counters["ddr"] == 2 * 8 * single.expert_weights * 2


def test_images_that_the_machine_cannot_take() -> None:
    machine, chosen = EdgeMoe(), drawn_choices(SMALL)
    with pytest.raises(InputError, match=r"more experts than there are \(needed at most 4, had 5\)"):
        replace(SMALL, chosen=5)
    odd = replace(SMALL, width=24)
    with pytest.raises(InputError, match="needed a multiple of 8 features, had 12"):
        frame(machine, odd, chosen)
    with pytest.raises(InputError, match="queue holds"):
        frame(replace(machine, queue_entries=32), SMALL, chosen)
    with pytest.raises(InputError, match="not of this network"):
        frame(machine, SMALL, chosen[:1])


def test_a_unit_for_each_kind_of_layer_takes_more_of_the_device() -> None:
    machine = EdgeMoe()
    apart = separate(machine, Shape())
    assert sum(each.dsp for each in apart) == 880 + 4 * 512
    assert sum(each.dsp for each in apart) > machine.dsp_blocks


def test_the_board_is_the_machine() -> None:
    device = board("zcu102-edge-moe")
    machine = EdgeMoe()
    (unit,) = [each for each in device.units if each.name.endswith("fpga")]
    (engine,) = unit.engines
    assert accelerator(machine_of(engine) or "") == machine
    assert unit.peak_flop_per_s["float32"] == pytest.approx(2 * machine.rows * machine.columns * machine.clock_hz)
    assert device.idle_w == machine.static_w
    assert device.memory_bytes == machine.memory_bytes

"""Gates of a multiply-add: hand counts, published single operations, and what must cost more than what."""

from __future__ import annotations

import pytest

from shoal import formats
from shoal.errors import InputError
from shoal.machines import Cells, MacCost, energy, energy_table, mac_cost, operation

ROUND = Cells(half_adder=0.6, and_gate=0.25, or_gate=0.25, xor=0.375, mux=0.35)


def area(name: str) -> float:
    return mac_cost(formats.make(name)).area


def test_an_eight_bit_product_by_hand() -> None:
    """64 ANDs; seven rows of seven full adders and a half one."""
    product = 64 * 0.25 + 7 * (7 + 0.6)
    parts = mac_cost(formats.make("mxint8"), ROUND).parts
    assert parts["multiplier"] == pytest.approx(product)
    assert operation("int", "mul", 8, ROUND) == pytest.approx(product)
    # 16 adders of 16 bits, 8 of 17, 4 of 18, 2 of 19, 1 of 20, for 32 lanes
    assert parts["adders"] == pytest.approx((16 * 16 + 8 * 17 + 4 * 18 + 2 * 19 + 20) / 32)
    assert (parts["exponents"], parts["shifters"]) == (0, 0)


def test_an_e4m3_product_by_hand() -> None:
    parts = mac_cost(formats.make("mxfp8"), ROUND).parts
    assert parts["multiplier"] == pytest.approx(16 * 0.25 + 3 * (3 + 0.6))  # four bits with the leading one
    assert parts["shifters"] == pytest.approx(24 * 5 * 0.35 * (1 + 1 / 32))  # 24 bits by 0 to 23 places
    assert parts["exponents"] == pytest.approx(4 * (1 + 0.375 + 0.5 + 0.375 + 1))


def test_a_power_of_two_as_scale_costs_two_additions_a_block() -> None:
    """MX against NV blocks of the same elements and length: E4M3 scales have to be multiplied."""
    power, real = (
        mac_cost(formats.make(f"block:element=int4,scale={scale},group=16"), ROUND).parts["scales"]
        for scale in ("e8m0", "e4m3")
    )
    product = 96 * 0.25 + 3 * (23 + 0.6)
    assert real - power == pytest.approx(2 * product / 16)


@pytest.mark.parametrize(("whole", "floating"), [("mxint8", "mxfp8"), ("mxint4", "mxfp4"), ("nvint4", "nvfp4")])
def test_whole_numbers_in_blocks_are_cheaper(whole: str, floating: str) -> None:
    assert area(whole) < area(floating)


def test_more_bits_are_more_gates() -> None:
    areas = [area("bing32"), area("tern2g32"), *(area(f"int{bits}g32") for bits in range(3, 9))]
    assert areas == sorted(areas)
    assert area("int8g32") > area("int8g128") > area("int8")  # scales are met more seldom


def test_energy_is_that_of_the_table() -> None:
    alone = MacCost({"multiplier": operation("int", "mul", 8)}, Cells())
    for node in (45, 7):
        assert alone.energy_j(node) == pytest.approx(energy("int", "mul", 8, node).energy_j)
    busy = MacCost(alone.parts, Cells(activity=1.0))
    assert busy.energy == 2 * alone.energy


@pytest.mark.parametrize(("op", "bits"), [("add", 8), ("add", 32), ("mul", 32)])
def test_counts_of_whole_numbers_agree_with_published_energies(op: str, bits: int) -> None:
    unit_j = energy("int", "mul", 8).energy_j / operation("int", "mul", 8)
    assert operation("int", op, bits) * unit_j == pytest.approx(energy("int", op, bits).energy_j, rel=0.3)


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("op", ["add", "mul"])
def test_counts_of_floating_point_are_below_published_energies(op: str, bits: int) -> None:
    """They lack rounding, signs and registers; a factor of three would be another circuit."""
    unit_j = energy("int", "mul", 8).energy_j / operation("int", "mul", 8)
    ratio = operation("float", op, bits) * unit_j / energy("float", op, bits).energy_j
    assert 1 / 3 < ratio < 1


@pytest.mark.parametrize("name", ["hlq2g64", "pow2", "int4g32+rotate"])
def test_a_format_without_a_multiplier(name: str) -> None:
    with pytest.raises(InputError, match="no multiplier is modelled"):
        mac_cost(formats.make(name))


def test_operations_that_are_not_counted() -> None:
    with pytest.raises(InputError, match="float div of 16 bits"):
        operation("float", "div", 16)


def test_the_table_says_where_each_figure_comes_from() -> None:
    rows = energy_table()
    assert len({(row.item, row.op, row.bits, row.node_nm) for row in rows}) == len(rows)
    for row in rows:
        assert 0 < row.low <= row.high
        assert row.source
        assert row.certainty in {"paper", "recalled", "assumed"}


def test_energies_that_are_not_known() -> None:
    with pytest.raises(InputError, match="no energy is known of 'flaot'") as fault:
        energy("flaot", "add", 32)
    assert fault.value.hint == "did you mean 'float'?"
    with pytest.raises(InputError, match="add of 64 bits at 45 nm"):
        energy("float", "add", 64)


def test_weights_of_few_bits_meet_activations_of_eight() -> None:
    """Four by eight bits by hand; a sign inverts eight bits; it lies between both formats by themselves."""
    eight = formats.make("int8g32")
    mixed = mac_cost(formats.make("int4g32"), ROUND, activations=eight).parts
    assert mixed["multiplier"] == pytest.approx(4 * 8 * 0.25 + 3 * (7 + 0.6))
    assert mac_cost(formats.make("bing32"), ROUND, activations=eight).parts["multiplier"] == pytest.approx(
        8 * 0.375
    )
    areas = [mac_cost(formats.make(name), activations=eight).area for name in ("bing32", "tern2g32", "int4g32")]
    assert areas == sorted(areas)
    assert area("int4g32") < areas[-1] < area("int8g32")
    assert mac_cost(eight, activations=eight) == mac_cost(eight)


def test_whole_and_floating_operands_are_not_modelled_together() -> None:
    with pytest.raises(InputError, match="needed whole numbers, or one format, had floating and integer"):
        mac_cost(formats.make("e4m3"), activations=formats.make("int8"))

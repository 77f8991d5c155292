"""Multipliers of gates: products, delays worked out by hand and one change at a time, the reference model's figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError, WorkError
from shoal.machines.multipliers import (
    Bound,
    MacTable,
    Margins,
    Multiplier,
    Supply,
    clocks,
    mac_table,
    products_right,
    worked_out,
)
from shoal.machines.multipliers._booth import digits
from shoal.machines.multipliers._simulate import activity, slowest_path, values
from shoal.machines.multipliers.contract import AND, FIRST_GATE, FIRST_X, INV, OR, XOR, Circuit

DESIGNS = catalog.names("machines/multipliers")
ALL = (*DESIGNS, "booth_ks:fixed=true", "booth_ks_sm:fixed=true")
SOME = (0, 1, -1, 3, 5, 65, 85, -85, 127, -107)


def design(name: str) -> Multiplier:
    made: Multiplier = catalog.make("machines/multipliers", name)
    return made


@pytest.mark.parametrize("name", ALL)
def test_every_product_is_right(name: str) -> None:
    assert products_right(name)


def test_digits_make_the_weight() -> None:
    for weight in range(-128, 128):
        assert sum(digit * 4**k for k, digit in enumerate(digits(weight))) == weight
        assert set(digits(weight)) <= {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("name", ALL)
def test_the_static_path_is_a_bound(name: str) -> None:
    table = worked_out(design(name), SOME)
    assert (table.delay <= table.bound).all()
    assert table.delay[0] == 0


@pytest.mark.parametrize(
    ("weight", "delay"),
    [
        (1, 1.5 + 1.6 + 1.6),  # one row: select, and the adder's two XORs
        (65, 1.5 + 1.6 + 3 * 2.0 + 1.6),  # two rows: a carry through three levels of the adder
        (-1, 1.5 + 0.4 + 1.6 + 1.0 + 3 * 2.0 + 1.6),  # complemented, and three levels after an AND
        (
            -107,
            1.5 + 0.4 + 2 * 3.2 + 3.6 + 1.6 + 1.0 + 3 * 2.0 + 1.6,
        ),  # five rows: two sums and a carry before that
    ],
)
def test_delays_worked_out_by_hand(weight: int, delay: float) -> None:
    assert worked_out(design("booth_ks"), [weight]).delay[0] == pytest.approx(delay)


@pytest.mark.parametrize(("name", "weight"), [("booth_ripple", 5), ("booth_ks", 2), ("array", 64)])
def test_one_change_at_a_time_gives_the_same(name: str, weight: int) -> None:
    """Against a plain walk over the gates: no change takes longer, and the slowest of many takes as long."""
    circuit = design(name).circuit(weight)
    nets = values(circuit)
    source = np.random.default_rng(0)
    pairs = [(int(a), int(b)) for a, b in source.integers(0, 256, (2500, 2))]
    latest, energies = zip(*(_walked(circuit, a, b) for a, b in pairs), strict=True)
    found = activity(circuit, nets)
    assert max(latest) <= found.delay + 1e-9
    assert max(latest) > 0.8 * found.delay
    assert np.mean(energies) == pytest.approx(found.energy, rel=0.05)


def test_a_small_circuit_over_all_changes() -> None:
    """A sign bit that selects two of the product's bits, by a plain walk over all 65,536 changes."""
    circuit = design("booth_ripple").circuit(1)
    walked = [_walked(circuit, a, b) for a in range(256) for b in range(256)]
    found = activity(circuit, values(circuit))
    assert max(latest for latest, _ in walked) == pytest.approx(found.delay)
    assert np.mean([energy for _, energy in walked]) == pytest.approx(found.energy)


def test_what_does_not_multiply_is_refused() -> None:
    @dataclass(frozen=True)
    class Off:
        weights = range(-128, 128)

        def circuit(self, weight: int) -> Circuit:
            return design("booth_ks").circuit(weight + 1)

    with pytest.raises(WorkError, match=r"weight 3: the circuit does not multiply"):
        worked_out(Off(), [3])


def test_a_fixed_tree_keeps_its_delay() -> None:
    """Rows of zeros are added, too: one more level of the tree for each."""
    for weight in (1, 16, 65):
        bypassed, fixed = (
            slowest_path(design(name).circuit(weight)) for name in ("booth_ks", "booth_ks:fixed=true")
        )
        assert fixed > bypassed + 3


def test_a_design_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no multiplier is called 'booth'"):
        mac_table("booth")


@pytest.fixture(scope="module")
def table() -> MacTable:
    """Of booth_ks, by its static bounds, which take no time."""
    return static_table("booth_ks")


def static_table(name: str) -> MacTable:
    one = design(name)
    circuits = [one.circuit(weight) for weight in one.weights]
    bounds = np.array([slowest_path(each) for each in circuits])
    weights = np.array(one.weights, np.int16)
    return MacTable(name, weights, bounds, bounds, np.array([1.0 + len(each.gates) for each in circuits]))


def test_levels_hold_all_weights_within_their_bound(table: MacTable) -> None:
    found = clocks(table, (Bound(12.1), Bound(15.3)))
    assert len(found.levels[0].weights) == 256
    for level, bound in zip(found.levels[1:], (12.1, 15.3), strict=True):
        assert set(level.weights) == {int(w) for w in table.weights[table.delay <= bound]}
        assert {0, 1, -1} <= set(level.weights)
        assert found.allowed(level) == pytest.approx(level.delay)
    assert found.levels[0].clock == 1
    assert found.levels[1].clock > found.levels[2].clock > 1


def test_a_level_of_weights_that_take_little(table: MacTable) -> None:
    energy = float(np.median(table.energy[table.delay <= 12.1]))
    level = clocks(table, (Bound(12.1, energy),)).levels[1]
    keeps = (table.delay <= 12.1) & (table.energy <= energy)
    assert set(level.weights) == {int(weight) for weight in table.weights[keeps]}
    assert level.clock == clocks(table, (Bound(12.1),)).levels[1].clock


def test_fixed_parts_of_the_period_cap_the_gain(table: MacTable) -> None:
    gains = [clocks(table, (Bound(12.1),), Margins(fixed=fixed)).levels[1].clock for fixed in (0.1, 5, 50)]
    assert table.slowest / 12.1 > gains[0] > gains[1] > gains[2] > 1


def test_levels_that_save_energy_run_at_base_clock(table: MacTable) -> None:
    quick, saving = (clocks(table, (Bound(12.1),), most=most).levels[1] for most in (math.inf, 1.0))
    assert (saving.clock, quick.volts) == (1, 0.9)
    assert saving.volts < 0.9
    assert Supply().speed(saving.volts) == pytest.approx(1 / quick.clock)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ((), "no level but the base clock"),
        ((Bound(10.7),), "no weights of both signs"),
        ((Bound(12.1, 1.0),), "no weights of both signs"),
    ],
)
def test_levels_that_are_none(table: MacTable, bounds: tuple[Bound, ...], said: str) -> None:
    """The quickest weights of booth_ks are all positive: alone they are no codebook."""
    with pytest.raises(InputError, match=said):
        clocks(table, bounds)


def test_the_alpha_power_law() -> None:
    supply = Supply()
    assert supply.speed(0.9) == 1
    by_hand = (0.7 - 0.35) ** 1.3 / 0.7 / ((0.9 - 0.35) ** 1.3 / 0.9)
    assert supply.speed(0.7) == pytest.approx(by_hand)
    for volts in np.linspace(0.6, 1.0, 9):
        assert supply.volts(supply.speed(float(volts))) == pytest.approx(float(volts))
    assert supply.energy(0.45 * 2) == 1
    assert supply.volts(0.01) == 0.6
    with pytest.raises(LimitError, match="no voltage makes gates so fast"):
        supply.volts(2)
    with pytest.raises(InputError, match="out of range"):
        supply.speed(0.3)


@pytest.mark.parametrize("wrong", [{"fixed": 0.0}, {"guard": -0.1}, {"fixed": math.nan}, {"guard": math.inf}])
def test_periods_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="no clock period"):
        Margins(**wrong)


def test_a_supply_that_is_none() -> None:
    with pytest.raises(InputError, match="no supply"):
        Supply(threshold_v=0.7)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_reference_model() -> None:
    """Within 5 % of the figures that were worked out for these gates elsewhere."""
    own, ripple, array = (mac_table(name) for name in ("booth_ks", "booth_ripple", "array"))
    order = np.sort(own.delay)
    assert own.slowest == pytest.approx(22.1, rel=0.05)
    assert set(own.fastest(9)) == {0, 1, 4, 5, 16, 17, 20, 64, 65}
    assert order[[8, 31, 63]] == pytest.approx([10.7, 12.1, 15.3], rel=0.05)
    ratios = (own.slowest + 5) / (order[[8, 31, 63]] + 5)
    assert ratios == pytest.approx([1.73, 1.58, 1.33], rel=0.05)
    known = {3, 6, 7, 12, 14, 15, 24, 28, 30, 31, *(-(2**k) for k in range(8))}
    assert known <= set(own.within(12.1 + 0.05))
    assert (own.delay <= own.bound).all()
    for delay in set(own.delay):  # the guard band covers what glitches may add
        assert own.bound[own.delay <= delay].max() <= Margins().period(delay) - Margins().fixed + 1e-9
    assert array.slowest / np.sort(array.delay)[8] == pytest.approx(1.455, rel=0.05)
    assert ripple.slowest / np.sort(ripple.delay)[8] == pytest.approx(3.2, rel=0.05)
    again = mac_table("booth_ks")
    np.testing.assert_array_equal(again.delay, own.delay)


def _walked(circuit: Circuit, before: int, after: int) -> tuple[float, float]:
    """Latest output and energy of one change of x, gate by gate."""
    state = [[False, True, *(bool(x >> bit & 1) for bit in range(8))] for x in (before, after)]
    arrival = [0.0] * FIRST_GATE
    energy, rules = 0.0, {AND: all, OR: any, XOR: lambda pair: pair[0] != pair[1], INV: lambda pair: not pair[0]}
    for net, gate in enumerate(circuit.gates, FIRST_GATE):
        for nets in state:
            pair = (nets[gate.first], nets[gate.second])
            nets.append(bool(rules[gate.kind](pair)) if gate.kind in rules else pair[0])
        if state[0][net] == state[1][net]:
            arrival.append(-math.inf)
            continue
        changed = [each for each in (gate.first, gate.second) if state[0][each] != state[1][each]]
        arrival.append(max(arrival[each] for each in changed) + gate.kind.tenths / 10)
        energy += gate.kind.energy
    assert FIRST_X == 2
    return max((arrival[net] for net in circuit.outputs if net >= FIRST_GATE), default=0.0), energy

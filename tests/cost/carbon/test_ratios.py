"""Normalised footprints: the identities that any two designs keep, and the figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shoal.cost.carbon import Design, best_gain, compare, crossing, pays_back, pays_from, swapped, verdict
from shoal.errors import InputError

figures = st.floats(1e-2, 1e2)
designs = st.builds(Design, figures, figures, figures)
alphas = st.floats(0, 1)


@given(designs, alphas)
def test_a_design_over_itself_is_one(design: Design, alpha: float) -> None:
    same = compare(design, design, alpha)
    assert (same.fixed_work, same.fixed_time) == (pytest.approx(1, rel=1e-12), pytest.approx(1, rel=1e-12))


@given(designs, designs, alphas, figures, figures, figures)
def test_units_do_not_matter(
    design: Design, reference: Design, alpha: float, area: float, energy: float, power: float
) -> None:
    def other(each: Design) -> Design:
        return Design(each.area * area, each.energy * energy, each.power * power)

    stated, scaled = compare(design, reference, alpha), compare(other(design), other(reference), alpha)
    assert scaled.fixed_work == pytest.approx(stated.fixed_work, rel=1e-9)
    assert scaled.fixed_time == pytest.approx(stated.fixed_time, rel=1e-9)


@given(designs, designs, alphas)
def test_the_other_way_round_needs_the_other_share(design: Design, reference: Design, alpha: float) -> None:
    there = compare(design, reference, alpha)
    back = compare(reference, design, swapped(alpha, design, reference)).fixed_work
    assert there.fixed_work * back == pytest.approx(1, rel=1e-6)
    timed = compare(reference, design, swapped(alpha, design, reference, "time")).fixed_time
    assert there.fixed_time * timed == pytest.approx(1, rel=1e-6)


def test_the_same_share_both_ways_contradicts_itself() -> None:
    large, hungry = Design(3, 1, 1), Design(1, 3, 1)
    assert compare(large, hungry, 0.5).fixed_work > 1
    assert compare(hungry, large, 0.5).fixed_work > 1  # each looks worse than the other
    assert compare(hungry, large, swapped(0.5, large, hungry)).fixed_work < 1


@pytest.mark.parametrize(
    ("work", "time", "told"), [(0.9, 0.9, "strong"), (0.9, 1.1, "weak"), (1.1, 1.1, "not"), (1.1, 0.9, "not")]
)
def test_classes(work: float, time: float, told: str) -> None:
    assert verdict(work, time) == told


def test_break_even_by_hand() -> None:
    assert pays_from(0.8, 8, 2) == pytest.approx(6.4 / 0.6)
    sea = Design(50, 50, 50)
    assert compare(Design(8, 100, 1), sea, 0.8).fixed_work == pytest.approx(0.128 + 0.4)


@given(alphas, st.floats(0.1, 1e3), st.floats(0.1, 1e2))
def test_the_break_even_number_is_where_the_footprint_crosses_one(alpha: float, area: float, energy: float) -> None:
    assume(abs((1 - alpha) * energy - 1) > 1e-6)
    fabric = Design(area, energy, 1)

    def footprint(count: float) -> float:
        work = replace(fabric, energy=count * energy)
        return compare(work, Design(count, count, 1), alpha).fixed_work

    number = pays_from(alpha, area, energy)
    assume(number == inf or number > 1e-6)
    assert crossing(footprint) == (inf if number == inf else pytest.approx(number, rel=1e-6))


@given(st.floats(0, 0.99), st.floats(0.1, 1e2))
def test_no_number_of_accelerators_gains_more_than_the_limit(alpha: float, energy: float) -> None:
    most = compare(Design(1, energy, 1), Design(1e12, 1, 1), alpha)
    assert 1 / most.fixed_work == pytest.approx(best_gain(alpha, energy), rel=1e-6)


def test_when_a_fleet_pays_back() -> None:
    assert pays_back(-1, 1).kind == "always"
    assert pays_back(1, -1).kind == "never"
    assert pays_back(0, -1).kind == "never"
    after, until = pays_back(6, 2), pays_back(-6, -2)
    assert (after.kind, after.seconds) == ("after", 3)
    assert (until.kind, until.seconds) == ("until", 3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_no_such_share(alpha: float) -> None:
    with pytest.raises(InputError, match=r"alpha: no share of the embodied carbon \(needed 0 to 1, had"):
        compare(Design(1, 1, 1), Design(1, 1, 1), alpha)
    with pytest.raises(InputError, match="no share"):
        pays_from(alpha, 1, 1)


def test_designs_that_are_none() -> None:
    with pytest.raises(InputError, match="no design has this area"):
        Design(0, 1, 1)
    with pytest.raises(InputError, match="no design takes this"):
        Design(1, -1, 1)
    with pytest.raises(InputError, match="the reference takes nothing"):
        compare(Design(1, 1, 1), Design(1, 0, 1), 0.5)
    with pytest.raises(InputError, match="no ratio"):
        pays_from(0.5, -1, 1)

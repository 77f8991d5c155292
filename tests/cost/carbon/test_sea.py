"""Which kernels leave their accelerators: against every choice there is, with and without a trace of who runs when."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.cost.carbon import NEVER_CONCURRENT, Common, Kernel, best_moved, built, compare
from shoal.cost.carbon.sea import Trace, fabrics
from shoal.errors import InputError

some = st.floats(0.1, 10)


@st.composite
def kernels(draw: st.DrawFn, most: int = 6) -> tuple[Kernel, ...]:
    count = draw(st.integers(1, most))
    sizes = st.sampled_from([2.0, 4.0, 9.0])
    return tuple(
        Kernel(f"k{index}", draw(some), draw(some), draw(sizes), draw(some), runs=draw(some))
        for index in range(count)
    )


commons = st.builds(Common, st.floats(0, 5), st.floats(0, 5), st.floats(0, 2), st.floats(0, 5))


def least(given: tuple[Kernel, ...], alpha: float, trace: Trace | None, common: Common) -> float:
    names = [kernel.name for kernel in given]
    sea = built(given, (), trace, common)
    every = chain.from_iterable(combinations(names, count) for count in range(len(names) + 1))
    return min(compare(built(given, moved, trace, common), sea, alpha).fixed_work for moved in every)


@given(kernels(), st.floats(0, 1), commons)
def test_without_a_trace_no_choice_is_better(given: tuple[Kernel, ...], alpha: float, common: Common) -> None:
    found = best_moved(given, alpha, common=common)
    assert found.fixed_work == pytest.approx(least(given, alpha, None, common), rel=1e-9)
    assert found.notes == (NEVER_CONCURRENT,)
    assert "ASSUMING NEVER CONCURRENT" in found.notes[0]


@settings(max_examples=25, deadline=None)
@given(kernels(5), st.floats(0, 1), commons, st.data())
def test_with_a_trace_no_choice_is_better(
    given: tuple[Kernel, ...], alpha: float, common: Common, data: st.DataObject
) -> None:
    pytest.importorskip("highspy")
    names = [kernel.name for kernel in given]
    trace = data.draw(st.lists(st.sets(st.sampled_from(names)), max_size=3))
    found = best_moved(given, alpha, trace=trace, common=common)
    assert found.fixed_work == pytest.approx(least(given, alpha, trace, common), rel=1e-5)
    assert found.fabrics == fabrics(found.names, trace)
    assert not found.notes


def test_concurrent_kernels_need_a_fabric_each() -> None:
    assert fabrics(("a", "b", "c"), [{"a", "b"}, {"b", "c"}]) == 2
    assert fabrics(("a",), [{"b"}]) == 1
    assert fabrics((), [{"b"}]) == 0


def test_a_design_counted_by_hand() -> None:
    pair = (Kernel("a", 2, 10, 5, 30, runs=3), Kernel("b", 4, 20, 7, 50, fabric_time=4))
    common = Common(area=1, energy=100, leakage=0.5, reconfiguration_energy=8)
    sea = built(pair, (), None, common)
    assert (sea.area, sea.energy, sea.power) == (7, 100 + 3 + 30 + 20, pytest.approx(153 / 4))
    half = built(pair, ("b",), None, common)
    assert (half.area, half.energy) == (1 + 2 + 7, 100 + 0.5 * 9 + 8 + 30 + 50)
    assert half.power == pytest.approx(half.energy / (3 + 4))
    both = built(pair, ("a", "b"), [{"a", "b"}], common)
    assert both.area == 1 + 2 * 7


def test_only_area_counts_at_one_and_only_energy_at_zero() -> None:
    ten = tuple(Kernel(f"k{index}", 1, 1, 4, 2) for index in range(10))
    assert set(best_moved(ten, 1.0).names) == {kernel.name for kernel in ten}
    assert best_moved(ten, 1.0).fixed_work == pytest.approx(0.4)
    assert best_moved(ten, 0.0).names == ()
    assert best_moved(ten, 0.0).fixed_work == 1


@pytest.mark.parametrize("field", ["area", "fabric_area", "time", "fabric_time"])
def test_what_must_be_above_zero(field: str) -> None:
    with pytest.raises(InputError, match=r"k: no such kernel .*above 0"):
        replace(Kernel("k", 1, 1, 1, 1), **{field: 0.0})


@pytest.mark.parametrize("field", ["energy", "fabric_energy", "runs"])
def test_what_must_not_be_below_zero(field: str) -> None:
    with pytest.raises(InputError, match=r"k: no such kernel .*0 or more"):
        replace(Kernel("k", 1, 1, 1, 1), **{field: -1.0})


def test_kernels_that_do_not_fit_together() -> None:
    one = Kernel("k", 1, 1, 1, 1)
    with pytest.raises(InputError, match="no kernels"):
        best_moved((), 0.5)
    with pytest.raises(InputError, match="two kernels have one name"):
        best_moved((one, one), 0.5)
    with pytest.raises(InputError, match="no such kernel to move"):
        built((one,), ("other",), None, Common())
    with pytest.raises(InputError, match="below 0"):
        Common(area=-1)
    with pytest.raises(InputError, match="no share"):
        best_moved((one,), 2)

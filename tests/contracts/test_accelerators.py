"""What every machine that is not here promises: values near ONNX's, figures that hold together, refusals by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal import catalog
from shoal.errors import LimitError, ModelError
from shoal.machines.accelerators import FAMILY, Ran, accelerator, price, standing_in
from tests.machines.calls import CASES, case

NAMES = catalog.names(FAMILY)
NEAR = 0.1  # of the largest output: machines multiply in few bits, some with noise; their own tests are stricter
TABLED = re.compile(r"\bpJ\b|_pj\b|e-12\b")


@pytest.mark.parametrize("op", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_values_come_through_the_machine_or_the_op_is_refused_by_name(name: str, op: str) -> None:
    call, data, expected = case(op)
    machine = accelerator(name)
    if price(name, call).refusal:
        with pytest.raises((ModelError, LimitError), match=rf"'{call.kind}'|op '{call.name}'|tensor '"):
            machine.compiled(call)
        return
    ran = machine.run(machine.compiled(call), data)
    assert ran.outputs.keys() == {"y"}
    assert ran.outputs["y"].dtype == expected.dtype
    assert np.abs(ran.outputs["y"] - expected).max() <= NEAR * np.abs(expected).max()
    check_figures(ran)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_repeated_exactly_and_without_data_values_stand_in(name: str) -> None:
    machine, call = accepted(name)
    task = machine.compiled(call)
    once, again, given = machine.run(task), machine.run(task), machine.run(task, standing_in(call))
    for other in (again, given):
        np.testing.assert_array_equal(once.outputs["y"], other.outputs["y"])
        assert (once.cycles, once.seconds, once.energy_j) == (other.cycles, other.seconds, other.energy_j)


@pytest.mark.parametrize("name", NAMES)
def test_its_price_is_that_of_a_run_and_is_kept(name: str, cache_folder: Path) -> None:
    machine, call = accepted(name)
    kept = set(cache_folder.glob("machine_prices/*/taken.json"))
    ran, taken = machine.run(machine.compiled(call)), price(name, call)
    assert (taken.seconds, taken.cycles) == (ran.seconds, ran.cycles)
    assert taken.joules == pytest.approx(ran.joules)
    assert set(cache_folder.glob("machine_prices/*/taken.json")) == kept


def test_energies_stand_in_the_table_alone() -> None:
    machines = Path(shoal.__file__).parent / FAMILY
    found = [file.name for file in machines.rglob("*.py") if TABLED.search(file.read_text(encoding="utf-8"))]
    assert not found


def check_figures(ran: Ran) -> None:
    assert ran.cycles > 0
    assert ran.seconds > 0
    assert min(ran.energy_j.values()) >= 0
    assert ran.energy_j["static"] >= 0
    assert ran.joules == pytest.approx(sum(ran.energy_j.values()))
    assert set(ran.energy_j) - {"static"} == set(ran.counters)


def accepted(name: str) -> tuple[Any, Any]:
    """The machine, and the first op that it takes."""
    machine = accelerator(name)
    for op in CASES:
        call, _, _ = case(op)
        if not price(name, call).refusal:
            return machine, call
    pytest.fail(f"{name} takes none of the ops")

"""What every machine refuses alike: sizes of nothing, and tensors that do not fit."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from shoal.errors import InputError, LimitError
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines.accelerators import accelerator
from shoal.machines.hybrid_bonded import HybridBonded


@dataclass(frozen=True)
class Toy:
    rows: int = 1
    clock_hz: float = 1.0


@pytest.mark.parametrize("toy", [Toy(rows=0), Toy(rows=-1), Toy(clock_hz=0.0), Toy(clock_hz=float("nan"))])
def test_a_size_of_nothing(toy: Toy) -> None:
    field = "clock_hz" if toy.rows == 1 else "rows"
    with pytest.raises(
        InputError, match=rf"^toy: an array with {field} {getattr(toy, field)} \(needed more than zero\)$"
    ):
        check_above_zero(toy, ("rows", "clock_hz"), "toy", what="an array")
    check_above_zero(toy, (), "toy")


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ("systolic+rows=0", "systolic: a machine with rows 0"),
        ("cgra+contexts=0", "cgra: an array with contexts 0"),
        ("edge_moe+row_bytes=0", "edge_moe: a machine with row_bytes 0"),
        ("tellme+tables=0", "tellme: a machine with tables 0"),
        ("tereffic+cards=0", "tereffic: a machine with cards 0"),
        ("photonic_attention+cores=0", "photonic_attention: a machine with cores 0"),
        ("nexus+depth=0", "nexus: an array with depth 0"),
    ],
)
def test_machines_refuse_in_their_own_name(machine: str, told: str) -> None:
    with pytest.raises(InputError) as fault:
        accelerator(machine)
    assert fault.value.message == f"{told} (needed more than zero)"


def test_a_mesh_refuses_too() -> None:
    with pytest.raises(InputError, match=r"^hybrid_bonded: a machine with banks 0"):
        HybridBonded(banks=0)


def test_a_tensor_fits_exactly_or_not() -> None:
    check_fits("w", 1024, 1024, "toy")
    with pytest.raises(LimitError) as fault:
        check_fits("w", 2048, 1024, "toy", place="on a card", hint="a larger card")
    assert fault.value.message == "toy, tensor 'w': does not fit on a card (needed 2 KiB, had 1 KiB)"
    assert fault.value.hint == "a larger card"

"""How an accelerator hangs on its host: read with its units, and what a copy takes."""

from __future__ import annotations

import pytest

from shoal.errors import FleetError, UnitError
from shoal.fleet import Coupling, board, loads

FILE = """
[devices.card]
board = "l4"
[devices.card.coupling]
kind = "close"
bandwidth = "10 GB/s"
launch = "2 µs"
"""


def test_a_coupling_is_read_with_its_units() -> None:
    (device,) = loads(FILE).devices
    assert device.coupling == Coupling("close", 1e10, 2e-6, 1.0)
    assert board("l4").coupling is None


@pytest.mark.parametrize("name", ["a100-80gb", "h100-80gb-pcie", "gh200-96gb"])
def test_boards_with_a_coupling(name: str) -> None:
    coupling = board(name).coupling
    assert coupling is not None
    assert coupling.coherent == (name == "gh200-96gb")
    assert 1e-6 < coupling.launch_s < 1e-5
    assert 0 < coupling.host_speed <= 1


def test_what_a_copy_takes() -> None:
    times = {kind: Coupling(kind, 1e9, 1e-6).copy_s(1e6) for kind in ("loose", "close", "tight")}  # type: ignore[arg-type]  # checked at the door
    assert times == {"loose": 1.001e-3, "close": 1.001e-3, "tight": 0.0}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [('"close"', '"near"', FleetError), ('"10 GB/s"', '"10 GB"', UnitError), ("launch", "lunch", FleetError)],
)
def test_a_fault_is_named(old: str, new: str, error: type[FleetError]) -> None:
    with pytest.raises(error, match="coupling"):
        loads(FILE.replace(old, new))

"""Descriptions of machines with their sources, and energy as events times rows of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.catalog import ROOT
from shoal.errors import InputError, UnitError
from shoal.machines import energy
from shoal.machines._bill import bill
from shoal.machines._described import figures

DESCRIPTIONS = sorted((ROOT / "machines").rglob("*.toml"))


def written(folder: Path, entry: str) -> Path:
    path = folder / "machine.toml"
    path.write_text(f"[figures]\n{entry}\n")
    return path


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.stem)
def test_every_figure_says_where_it_is_from(path: Path) -> None:
    found = figures(path)
    assert found
    assert all(each.source for each in found.values())


def test_figures_in_the_unit_that_their_name_ends_in(tmp_path: Path) -> None:
    entry = 'a_bytes = { value = "2 KiB", source = "x", certainty = "assumed" }\n'
    entry += 'b_bytes_per_s = { value = "1 GB/s", source = "x", certainty = "paper" }\n'
    entry += 'c = { value = 7, source = "x", certainty = "measured" }'
    found = figures(written(tmp_path, entry))
    assert [found[name].value for name in ("a_bytes", "b_bytes_per_s", "c")] == [2048, 1e9, 7]
    assert isinstance(found["a_bytes"].value, int)
    assert found["b_bytes_per_s"].certainty == "paper"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("a = 3", "'a' is no figure"),
        ('a = { value = 3, source = "x" }', "'a' is no figure"),
        ('a = { value = 3, source = "x", certainty = "sure" }', "'a' has no certainty"),
        ('a = { value = "3", source = "x", certainty = "paper" }', "'a' is no whole number"),
        ("a = ", "cannot read the machine's description"),
    ],
)
def test_descriptions_that_say_too_little(entry: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        figures(written(tmp_path, entry))


def test_a_value_without_its_unit(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="a figure without its unit"):
        figures(written(tmp_path, 'a_s = { value = "3", source = "x", certainty = "paper" }'))


def test_a_bill_by_hand() -> None:
    mul, add = energy("float", "mul", 16, 7), energy("float", "add", 16, 7)
    prices = {"mac": ((1, mul), (1, add)), "row": ()}
    found = bill({"mac": 1000, "row": 5}, prices, 2.0, 0.5)
    assert found == pytest.approx({"mac": 1000 * (0.34 + 0.16) * 1e-12, "row": 0.0, "static": 1.0})
    with pytest.raises(InputError, match="events without a price"):
        bill({"jump": 1}, prices, 0.0, 0.0)

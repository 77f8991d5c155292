from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal.program import bundle


def test_a_folder_for_each_unit_and_the_client(shoal: Any, plan: Path) -> None:
    done = shoal("pack", plan)
    assert done.code == 0
    assert {path.name for path in Path("bundles").iterdir()} == {
        "client", "hostfile", "mpirun.sh", "pi-cpu", "rankfile", "zero-cpu",
    }  # fmt: skip
    for unit in ("pi-cpu", "zero-cpu"):
        bundle.verify(bundle.read(Path("bundles") / unit))
        assert f"bundles/{unit}" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_json_names_the_folders(shoal: Any, plan: Path) -> None:
    found = shoal("pack", plan, "-o", "there", "--json").json
    assert found == {"folder": "there", "units": {"pi/cpu": "there/pi-cpu", "zero/cpu": "there/zero-cpu"}}


def test_an_earlier_pack_is_written_over_but_nothing_else(shoal: Any, plan: Path) -> None:
    assert [shoal("pack", plan).code for _ in range(2)] == [0, 0]
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "mine: the folder is not empty" in shoal("pack", plan, "-o", "mine").complaint


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-plan",), "no-plan: cannot read"),
        (("a-file",), "a-file: not a plan"),
        (("{plan}", "-o", "a-file"), "a-file"),
        (("{plan}", "-o", "a-file/below"), "cannot write"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, plan: Path) -> None:
    Path("a-file").write_text("{}")
    assert told in shoal("pack", *(each.format(plan=plan) for each in arguments)).complaint

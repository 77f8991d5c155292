"""Plans that divide single ops, through every verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal import catalog, codec
from shoal.plan import Plan
from shoal.record import Run
from tests.cli.conftest import Shoal


@pytest.mark.parametrize("strategy", [*catalog.names("plan/strategies"), "tile:depth=1"])
def test_every_strategy_is_planned_simulated_and_shown(
    strategy: str, model: Path, fleet: Path, shoal: Shoal
) -> None:
    done = shoal(
        "plan", model, fleet, "--no-profile", "--strategy", strategy, "--shares", "2,1", "-o", "p", columns=120
    )
    assert done.code == 0, done.err
    assert "Who runs what" in done.out
    plan = codec.load(Plan, Path("p/plan.json"))
    assert plan.recipe.strategy == strategy
    assert plan.units == ("pi/cpu", "zero/cpu")
    assert shoal("simulate", "p", "--items", "6", "-o", "s.json").code == 0
    assert shoal("report", "s.json", "-o", "r.html").code == 0
    assert Path("r.html").stat().st_size > 10_000


def test_a_divided_plan_runs_packs_and_is_reported(model: Path, fleet: Path, shoal: Shoal) -> None:
    assert (
        shoal("plan", model, fleet, "--no-profile", "--strategy", "channel_out", "--shares", "2,1", "-o", "p").code
        == 0
    )
    done = shoal("run", "p", "--items", "4", "--over", "memory", "-o", "here.json", "--json")
    assert done.code == 0, done.err
    assert done.json["outputs_match"] is True
    packed = shoal("pack", "p", "-o", "b")
    assert packed.code == 0, packed.err
    assert {each.name for each in Path("b").iterdir()} >= {"pi-cpu", "zero-cpu", "client"}
    assert shoal("simulate", "p", "--items", "4", "-o", "s.json").code == 0
    assert shoal("report", "here.json", "s.json", "-o", "r.html").code == 0
    assert codec.load(Run, Path("here.json")).items == 4


def test_several_strategies_in_one_front(model: Path, fleet: Path, shoal: Shoal) -> None:
    told = shoal(
        "plan", model, fleet, "--no-profile", "--strategy", "stage+tile", "--minimize", "latency", "--json"
    )
    assert told.code == 0, told.err
    assert {row["strategy"].partition(":")[0] for row in told.json["front"]} <= {"stage", "tile"}
    shown = shoal("plan", model, fleet, "--no-profile", "--strategy", "tile", columns=140)
    assert " plans compared, " in shown.out
    assert "pi/cpu + zero/cpu by tile:depth=" in shown.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--strategy", "tiles"), "did you mean 'tile'?"),
        (("--strategy", "tile:rows=2"), "'tile' has no option 'rows'"),
        (("--strategy", "tile:until=r9", "--shares", "1,1"), "no op 'r9' to tile up to"),
        (("--strategy", "tile", "--shares", "1,-1"), "'1,-1' are no shares"),
        (("--strategy", "tile", "--shares", "1,nan"), "'1,nan' are no shares"),
        (("--strategy", "tile", "--shares", "0,0"), "not all zero"),
        (("--strategy", "tile", "--shares", "1,1,1"), "needed 2: pi/cpu, zero/cpu, had 1, 1, 1"),
        (("--strategy", "tile", "--shares", "99,1"), "op 'c0' (Conv) has too few rows"),
        (("--strategy", "channel_out", "--shares", "99,1"), "op 'c0' (Conv) has too few channels"),
        (("--strategy", "channel_in", "--pin", "c0=pi"), "leave out --pin, or use --strategy stage"),
        (
            ("--strategy", "channel_in", "--shares", "1,1", "--mapping", "m.json"),
            "no mapping can say how op 'c0' is divided",
        ),
    ],
)
def test_wishes_that_cannot_be(options: tuple[str, ...], says: str, model: Path, fleet: Path, shoal: Shoal) -> None:
    assert says in shoal("plan", model, fleet, "--no-profile", *options).complaint
    assert not Path("plan").exists() or not list(Path("plan").glob("*.json"))


def test_shares_are_relative(model: Path, fleet: Path, shoal: Shoal) -> None:
    for shares in ("5,6", "0.5,0.6"):
        assert (
            shoal("plan", model, fleet, "--no-profile", "--strategy", "tile", "--shares", shares, "-o", shares).code
            == 0
        )
    one, other = (codec.load(Plan, Path(shares) / "plan.json") for shares in ("5,6", "0.5,0.6"))
    assert one.splits == other.splits


def test_the_help_lists_the_strategies(shoal: Shoal) -> None:
    text = " ".join(shoal("plan", "--help", columns=200).out.replace("│", " ").split())
    assert all(name in text for name in catalog.names("plan/strategies"))

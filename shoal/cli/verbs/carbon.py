"""Compare what making and running two fleets emits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shoal.cli import options
from shoal.errors import InputError
from shoal.units import format_rate

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.cost.carbon import Comparison, PaysBack, Work
    from shoal.fleet import Fleet
    from shoal.plan import Plan
    from shoal.record import Band

EXAMPLES = (
    "shoal carbon compare fleetA.toml fleetB.toml",
    "shoal carbon compare fleetA.toml fleetB.toml --alpha 0:1:0.1",
    "shoal carbon compare fleetA.toml fleetB.toml --alpha 0.2,0.8 --format int8 --json",
    "shoal carbon compare fleetA.toml fleetB.toml --model model.onnx",
)
FINEST = 0.001  # step of a sweep
KINDS = {
    "always": "from the first day",
    "never": "never",
    "after": "after {:.3g} years of operation",
    "until": "only for the first {:.3g} years of operation",
}
YEAR_S = 31_557_600.0


def command(
    what: Annotated[Literal["compare"], typer.Argument(metavar="compare", help="one fleet with another")],
    fleet: Annotated[Path, typer.Argument(metavar="FLEET_A", help="a fleet file that tells of carbon")],
    reference: Annotated[Path, typer.Argument(metavar="FLEET_B", help="the one it is held against")],
    alpha: Annotated[
        str,
        typer.Option(metavar="SHARES", help="share of the making in B's footprint: first:last:step, or 0.2,0.8"),
    ] = "0:1:0.1",
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="count its items, by the plan of most throughput on each fleet"),
    ] = None,
    shape: Annotated[
        list[str], typer.Option(metavar="NAME=SIZES", help=f"with --model: {options.SHAPE_HELP}")
    ] = [],
    format: Annotated[
        str, typer.Option(metavar="NAME", help="without --model: number format whose peaks count")
    ] = "float32",
    samples: Annotated[int, typer.Option(min=100, max=1_000_000, help="of the figures that have a range")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="of these samples")] = 0,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Compare what making and running two fleets emits, by the share that B's making has in B's footprint.

    Ratios below 1 favour A. At fixed work both do as many operations (or items of a model), at fixed time both run as
    much as they are used.
    """
    from shoal.cost.carbon import Draws, compare_fleets
    from shoal.fleet import load

    shares, ours, theirs = alphas_of(alpha), load(fleet), load(reference)
    works = _works(model, shape, (ours, theirs)) if model else None
    found = compare_fleets(ours, theirs, shares, form=format, draws=Draws(samples, seed), works=works)
    if json:
        options.emit(_facts(found, model, format))
    else:
        _print(found, fleet.name, reference.name)
        _say_work(found, model, format)


def alphas_of(text: str) -> tuple[float, ...]:
    """The shares of "0:1:0.1" or "0.2,0.8".

    Raises:
        InputError: not of that form, or none between 0 and 1.
    """
    steps = text.count(":") == 2
    try:
        numbers = [float(part) for part in text.split(":" if steps else ",")]
    except ValueError:
        numbers = [-1.0]
    within = all(0 <= number <= 1 for number in numbers)
    if not within or (steps and not (numbers[0] <= numbers[1] and numbers[2] >= FINEST)):
        raise InputError(
            f"'{text}' are no shares", where="--alpha", needed="from 0 to 1", hint="0:1:0.1 or 0.2,0.8"
        )
    if not steps:
        return tuple(numbers)
    first, last, step = numbers
    return tuple(round(first + index * step, 9) for index in range(int((last - first) / step + 1e-9) + 1))


def _works(model: Path, shape: Sequence[str], fleets: tuple[Fleet, Fleet]) -> tuple[Work, Work]:
    """What each fleet does of a model's items, by its plan of most throughput."""
    from shoal.plan import Wishes, search
    from shoal.plan.costs import costs_of

    graph, reference = options.model(model, shape)
    ours, theirs = (_work(search(graph, reference, each, costs_of(graph, each), Wishes()).plan) for each in fleets)
    return ours, theirs


def _work(plan: Plan) -> Work:
    from shoal.cost.carbon import Work

    period_s = plan.prediction.period_s
    return Work(1 / period_s, {name: joules / period_s for name, joules in plan.prediction.energy_j.items()})


def _facts(found: Comparison, model: Path | None, form: str) -> dict[str, Any]:
    return {
        "work": {
            "unit": "item" if model else f"flop ({form})",
            "per_s": found.work_per_s,
            "reference_per_s": found.reference_work_per_s,
            "provenance": "predicted" if model else "stated peaks",
        },
        "embodied_kg": found.embodied_kg,
        "reference_embodied_kg": found.reference_embodied_kg,
        "own_alpha": found.own_alpha,
        "rows": list(found.rows),
        "pays_back": found.pays_back,
    }


def _print(found: Comparison, ours: str, theirs: str) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False)
    out.print(f"{ours} over {theirs}; below 1 the first emits less", soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    banded = found.rows[0].fixed_work_band is not None
    heads = ("alpha", "fixed work", "90 %", "fixed time", "90 %", "class", "strong in")
    for head in heads if banded else (heads[0], heads[1], heads[3], heads[5]):
        table.add_column(head, justify="right", no_wrap=True)
    for row in found.rows:
        work, time = f"{row.fixed_work:.3f}", f"{row.fixed_time:.3f}"
        if banded:
            table.add_row(f"{row.alpha:g}", work, _band(row.fixed_work_band), time, _band(row.fixed_time_band),
                          row.verdict, f"{row.strong_share or 0:.0%}")  # fmt: skip
        else:
            table.add_row(f"{row.alpha:g}", work, time, row.verdict)
    out.print(table)
    _say(found, out)
    if not banded:
        out.print("no figure has a range: no band", style="dim")


def _say_work(found: Comparison, model: Path | None, form: str) -> None:
    from rich.console import Console

    out = Console(highlight=False)
    unit = "items/s" if model else "flop/s"
    ours, theirs = (format_rate(each, unit) for each in (found.work_per_s, found.reference_work_per_s))
    how = (
        f"by the plan of most throughput for {model.name} on each fleet, as predicted, while all its devices are used"
        if model
        else f"ASSUMING THAT ALL UNITS REACH THEIR STATED PEAKS in {form} while they are used; --model MODEL counts items"
    )
    out.print(f"work, on average: {ours} against {theirs}, {how}", soft_wrap=True, markup=False)


def _say(found: Comparison, out: Console) -> None:
    out.print(
        f"\nmaking: {found.embodied_kg:.3g} kg against {found.reference_embodied_kg:.3g} kg; by kilograms the "
        f"reference has alpha = {found.own_alpha:.2f}",
        soft_wrap=True,
    )
    for case, told in found.pays_back.items():
        out.print(f"the smaller total at fixed {case}: {_when(told)}", soft_wrap=True)


def _when(told: PaysBack) -> str:
    return KINDS[told.kind].format(told.seconds / YEAR_S)


def _band(band: Band | None) -> str:
    return f"{band[0]:.2f}–{band[1]:.2f}" if band else ""

"""Run every cut between two devices; show which are worth having."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import options
from shoal.errors import InputError, OutputsDiffer, WorkError
from shoal.fleet import load as load_fleet
from shoal.plan.costs import costs_of
from shoal.plan.every_cut import every_cut, pair_of
from shoal.record import SplitFigures, SplitFront
from shoal.report import csv_text, front_json, print_splits, split_json, write_splits_page
from shoal.run.sweep import Sweep, front_of, notes_of, sweep

EXAMPLES = (
    "shoal pareto model.onnx fleet.toml",
    "shoal pareto model.onnx fleet.toml --devices pi,nano --cuts 3,7,12",
    "shoal pareto model.onnx fleet.toml --both-orders --repeats 5 -o cuts",
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file")],
    fleet: Annotated[Path, typer.Argument(metavar="FLEET", help="a fleet file (TOML)")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="folder to write all results to")
    ] = Path("pareto"),
    devices: Annotated[
        str, typer.Option(metavar="NAMES", help="the first and the second device: pi,nano; else the fleet's two")
    ] = "",
    both_orders: Annotated[bool, typer.Option("--both-orders", help="also the other way round")] = False,
    cuts: Annotated[
        str, typer.Option(metavar="NUMBERS", help="only these, counted from 0 as `shoal inspect` lists them: 3,7")
    ] = "",
    multi: Annotated[bool, typer.Option("--multi", help="also cuts that several tensors cross")] = False,
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    carry: Annotated[list[str], typer.Option(metavar="INPUT=OUTPUT", help=options.CARRY_HELP)] = [],
    engine: Annotated[list[str], typer.Option(metavar="NAME", help="allow only this engine; may be repeated")] = [],
    window: Annotated[int, typer.Option(min=0, help="items in flight; 0: enough to fill the pipe")] = 0,
    items: Annotated[int, typer.Option(min=1, help="items in each pipelined run")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="how often each cut is measured")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="what a pipelined run may take before it gets fewer items")
    ] = 60.0,
    over: Annotated[
        str, typer.Option(metavar="TRANSPORT", help="shaped takes the fleet's links for real; or shm, tcp")
    ] = "shaped",
    emulate: Annotated[bool, typer.Option("--emulate", help="pace each worker and link to its board")] = False,
    profile: Annotated[bool, typer.Option(help="measure the model's ops here first, if not done before")] = True,
    seed: Annotated[int, typer.Option(min=0, help="of the random inputs")] = 0,
    json: Annotated[bool, typer.Option("--json", help="the front as JSON on stdout")] = False,
) -> None:
    """Run every legal cut of a network between two devices, and show which are worth having."""
    folder = output / "splits"
    options.writable(folder / "000.json")
    graph, reference = options.model(model, shape, carry)
    machines = load_fleet(fleet)
    pair = pair_of(graph, machines, tuple(filter(None, devices.split(","))), engine)
    costs = costs_of(graph, machines, measure=profile)
    numbers = _numbers(cuts)
    plans = [
        each
        for units in ((pair, pair[::-1]) if both_orders else (pair,))
        for each in every_cut(
            graph, reference, machines, costs, units, numbers=numbers, multi=multi, window=window, engines=engine
        )
    ]
    how = Sweep(items=items, repeats=repeats, seconds=seconds, over=over, emulate=emulate, seed=seed)
    for old in folder.glob("*.json"):
        old.unlink()

    def told(split: SplitFigures) -> None:
        codec.save(split_json(split), folder / f"{_stem(split, pair)}.json")
        if not json:
            done = sum(1 for _ in folder.glob("*.json"))
            sys.stderr.write(f"{done}/{len(plans)}  cut {split.number} after {split.after}\n")

    found = front_of(graph.name, sweep(graph, plans, how, told), notes_of(plans, how))
    _write(found, output, " · ".join(pair))
    if json:
        options.emit(front_json(found))
    else:
        print_splits(found)
        sys.stdout.write(f"results written to {output}; the page is {output / 'pareto.html'}\n")
    _judge(found)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError(f"'{text}' are no numbers of cuts", where="--cuts", hint="3,7,12") from None


def _stem(split: SplitFigures, pair: tuple[str, str]) -> str:
    return f"{split.number:03}{'' if split.units == pair else '-swapped'}"


def _write(found: SplitFront, output: Path, lead: str) -> None:
    codec.save(front_json(found), output / "front.json")
    codec.write_bytes(csv_text(found).encode(), output / "splits.csv")
    write_splits_page(found, output / "pareto.html", lead)


def _judge(found: SplitFront) -> None:
    """Fail when a cut did; what the others gave is written by then.

    Raises:
        WorkError: a cut could not be run to its end.
        OutputsDiffer: the answers of one are not the undivided network's.
    """
    failed = [each for each in found.splits if each.failure]
    if failed:
        had = f"{len(found.splits) - len(failed)} of {len(found.splits)} cuts, which are kept"
        raise WorkError(f"cut {failed[0].number} failed: {failed[0].failure}", where=found.model, had=had)
    for each in found.splits:
        if each.outputs_match is False:
            raise OutputsDiffer(
                "the divided network does not answer like the undivided one",
                where=f"{found.model}, cut {each.number}",
                needed=f"at most 1e-4 of {each.reference_magnitude:g}",
                had=f"{each.max_abs_difference:g}",
            )

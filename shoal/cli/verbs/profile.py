"""Measure what ops or a language model cost here; plans reuse it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import language, options
from shoal.cli.roofline import profiled
from shoal.errors import InputError
from shoal.fleet import load
from shoal.measure import load_table, table_path
from shoal.plan.costs import costs_of
from shoal.report import write_roofline_page
from shoal.units import format_seconds

EXAMPLES = (
    "shoal profile model.onnx fleet.toml",
    "shoal profile encoder.onnx fleet.toml --shape tokens=128",
    "shoal profile model.onnx fleet.toml --html ops.html",
    "shoal profile config.json --context 512,2048 --batch 1,4",
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file, or a language model's config.json")],
    fleet: Annotated[
        Path | None, typer.Argument(metavar="FLEET", help="a fleet file (TOML); for ONNX files")
    ] = None,
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    carry: Annotated[list[str], typer.Option(metavar="INPUT=OUTPUT", help=options.CARRY_HELP)] = [],
    context: Annotated[str, typer.Option(metavar="TOKENS", help="prompts of a language model")] = "128,512,2048",
    batch: Annotated[str, typer.Option(metavar="SEQUENCES", help="at once, of a language model")] = "1",
    scan: Annotated[int, typer.Option(min=0, help="tokens of a chunk of Mamba-2's scan; 0: transformers' own")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="of which a language model's median is")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="that compute a language model")] = 1,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="the ops under this machine's roofs, as a page; for ONNX files"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Measure what each op costs here, into a table that plans reuse; or latency, memory and energy of a language model.

    Units of this machine are measured; boards that are not here get their data sheet's figures, corrected by what
    was measured. A language model is named by its configuration; its weights are those of a seed.
    """
    if language.is_configuration(model):
        if fleet is not None:
            raise InputError("a language model is measured on this machine alone", where=str(fleet))
        if html is not None:
            raise InputError("the page shows ops of an ONNX file", where="--html", had=str(model))
        _language(model, context, batch, scan, repeats, threads, json)
    elif fleet is None:
        raise InputError("Missing argument 'FLEET'", hint="shoal profile model.onnx fleet.toml")
    else:
        _ops(model, fleet, shape, carry, html, json)


def _language(model: Path, context: str, batch: str, scan: int, repeats: int, threads: int, json: bool) -> None:
    from shoal.cli import profiling

    subject, rows = profiling.measured(model, profiling.Asked(context, batch, scan, repeats, threads))
    options.emit(profiling.facts(subject, rows)) if json else profiling.show(subject, rows)


def _ops(model: Path, fleet: Path, shape: list[str], carry: list[str], html: Path | None, json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    graph, _ = options.model(model, shape, carry)
    machines = load(fleet)
    costs = costs_of(graph, machines, measure=True)
    if html is not None:
        write_roofline_page(graph.name, profiled(graph, machines), html)
    samples = load_table(table_path(graph.identity)).samples
    if json:
        options.emit({"model": graph.name, "table": str(table_path(graph.identity)), "samples": samples})
        return
    columns = [(unit, engine) for unit in machines.unit_names for engine in machines.unit(unit).engines]
    table = Table(title=f"{graph.name}: seconds of the whole model", title_justify="left", box=None, pad_edge=False)
    for name in ("unit", "engine", "model", "dearest op"):
        table.add_column(name)
    for unit, engine in columns:
        seconds = costs.op_seconds(unit, engine)
        worst = graph.ops[int(seconds.argmax())]
        whole = float(seconds.sum())
        told = format_seconds(whole) if isfinite(whole) else "cannot run it"
        table.add_row(unit, engine, told, f"{worst.kind} {worst.name}")
    Console(highlight=False).print(table)

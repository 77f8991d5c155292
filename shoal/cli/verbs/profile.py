"""Measure what each op costs here, into a table that plans reuse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.fleet import load
from shoal.measure import load_table, table_path
from shoal.plan.costs import costs_of
from shoal.units import format_seconds

EXAMPLES = (
    "shoal profile model.onnx fleet.toml",
    "shoal profile encoder.onnx fleet.toml --shape tokens=128",
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file")],
    fleet: Annotated[Path, typer.Argument(metavar="FLEET", help="a fleet file (TOML)")],
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    carry: Annotated[list[str], typer.Option(metavar="INPUT=OUTPUT", help=options.CARRY_HELP)] = [],
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Measure what each op costs here, into a table that plans reuse.

    Units of this machine are measured; boards that are not here get their data sheet's figures, corrected by what
    was measured.
    """
    from rich.console import Console
    from rich.table import Table

    graph, _ = options.model(model, shape, carry)
    machines = load(fleet)
    costs = costs_of(graph, machines, measure=True)
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
        table.add_row(unit, engine, format_seconds(float(seconds.sum())), f"{worst.kind} {worst.name}")
    Console(highlight=False).print(table)

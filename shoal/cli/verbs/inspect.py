"""Show a model's ops, multiply-accumulates, bytes and legal cuts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.graph import Graph, cuts
from shoal.units import format_bytes


def command(
    model: Annotated[Path, typer.Argument(help="an ONNX file")],
    shape: Annotated[list[str], typer.Option(help="fix a shape: input=1,3,224,224 or tokens=128")] = [],
    ops: Annotated[bool, typer.Option(help="a line for every op")] = False,
    json: Annotated[bool, typer.Option("--json", help="as JSON on stdout")] = False,
) -> None:
    """Show a model's ops, multiply-accumulates, bytes and legal cuts."""
    graph, _ = options.model(model, shape)
    if json:
        options.emit(_facts(graph))
    else:
        _print(graph, ops=ops)


def _facts(graph: Graph) -> dict[str, object]:
    return {
        "name": graph.name,
        "sha256": graph.sha256,
        "inputs": {name: [graph.tensors[name].dtype, list(graph.tensors[name].shape)] for name in graph.inputs},
        "outputs": {name: [graph.tensors[name].dtype, list(graph.tensors[name].shape)] for name in graph.outputs},
        "ops": [
            {"name": op.name, "kind": op.kind, "macs": op.macs, "weights_bytes": op.weights_bytes}
            for op in graph.ops
        ],
        "macs": graph.macs,
        "weights_bytes": graph.weights_bytes,
        "cuts": [
            {"after": graph.ops[cut.after].name, "tensors": list(cut.tensors), "bytes": cut.bytes}
            for cut in cuts(graph)
        ],
    }


def _print(graph: Graph, *, ops: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False)
    legal = cuts(graph)
    out.print(
        f"[bold]{graph.name}[/]: {len(graph.ops)} ops, {graph.macs / 1e9:.3g} G multiply-accumulates, "
        f"{format_bytes(graph.weights_bytes)} of weights, {len(legal)} legal cuts"
    )
    for label, names in (("in", graph.inputs), ("out", graph.outputs)):
        for name in names:
            out.print(
                f"  {label:<3} {name}: {graph.tensors[name].dtype} {list(graph.tensors[name].shape)}", markup=False
            )
    kinds = Counter(op.kind for op in graph.ops).most_common()
    out.print("  " + ", ".join(f"{count} {kind}" for kind, count in kinds))
    table = Table(box=None, pad_edge=False, header_style="dim")
    rows = [("op", "kind", "MACs", "weights", "output", "cut after it")]
    after = {cut.after: cut for cut in legal}
    for column, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if column < 2 else "right", overflow="fold")
    for index, op in enumerate(graph.ops):
        if ops or index in after:
            crossing = format_bytes(after[index].bytes) if index in after else ""
            figures = (f"{op.macs / 1e6:.4g} M", format_bytes(op.weights_bytes), format_bytes(op.written_bytes))
            table.add_row(op.name, op.kind, *figures, crossing)
    out.print(table)

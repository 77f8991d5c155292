"""Show a model's ops, multiply-accumulates, bytes and legal cuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shoal.cli import language, options
from shoal.graph import Cut, Graph, cuts
from shoal.units import format_bytes

EXAMPLES = (
    "shoal inspect model.onnx",
    "shoal inspect model.onnx --shape input=1,3,224,224 --ops",
    "shoal inspect llama/config.json",
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file, or a language model's config.json")],
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    carry: Annotated[list[str], typer.Option(metavar="INPUT=OUTPUT", help=options.CARRY_HELP)] = [],
    ops: Annotated[bool, typer.Option("--ops", help="a line for every op, not only for every cut")] = False,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show a model's ops, multiply-accumulates, bytes and legal cuts."""
    if language.is_configuration(model):
        options.emit(language.facts(model)) if json else language.show(model)
        return
    graph, _ = options.model(model, shape, carry)
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
    } | _state(graph)


def _state(graph: Graph) -> dict[str, object]:
    """What a graph with state has more."""
    if not graph.carried:
        return {}
    return {"carried": [asdict(each) for each in graph.carried], "loops": [list(loop) for loop in graph.loops]}


def _print(graph: Graph, *, ops: bool) -> None:
    out = Console(highlight=False)
    legal = cuts(graph)
    kinds = Counter(op.kind for op in graph.ops).most_common()
    facts = [
        f"{len(graph.ops)} ops, {graph.macs / 1e9:.3g} G multiply-accumulates, "
        f"{format_bytes(graph.weights_bytes)} of weights, {len(legal)} legal cuts",
        *(_tensor(graph, "in ", name) for name in graph.inputs),
        *(_tensor(graph, "out", name) for name in graph.outputs),
        *(
            f"{_tensor(graph, 'kept', each.input)}, from {each.output} of the item before in the {each.scope}"
            for each in graph.carried
        ),
        ", ".join(f"{count} {kind}" for kind, count in kinds),
    ]
    out.print(f"{graph.name}", style="bold", markup=False)
    for fact in facts:
        out.print(Padding(Text(fact), (0, 0, 0, 2)))
    out.print()
    out.print(_ops(graph, legal) if ops else _cuts(graph, legal))


def _tensor(graph: Graph, label: str, name: str) -> str:
    return f"{label} {name}: {graph.tensors[name].dtype} {list(graph.tensors[name].shape)}"


def _cuts(graph: Graph, legal: Sequence[Cut]) -> Table:
    """A line for every place where the network may be cut, with how much lies before it."""
    table = _table("cut after", "kind", "MACs before", "weights before", "crosses it")
    macs = list(accumulate(op.macs for op in graph.ops))
    weights_bytes = list(accumulate(op.weights_bytes for op in graph.ops))
    for cut in legal:
        op = graph.ops[cut.after]
        share = macs[cut.after] / max(1, graph.macs)
        table.add_row(
            op.name, op.kind, f"{share:.1%}", format_bytes(weights_bytes[cut.after]), format_bytes(cut.bytes)
        )
    return table


def _ops(graph: Graph, legal: Sequence[Cut]) -> Table:
    table = _table("op", "kind", "MACs", "weights", "output", "cut after it")
    after = {cut.after: format_bytes(cut.bytes) for cut in legal}
    for index, op in enumerate(graph.ops):
        macs = f"{op.macs / 1e6:.4g} M" if op.macs else "–"
        weights = format_bytes(op.weights_bytes) if op.weights_bytes else "–"
        table.add_row(op.name, op.kind, macs, weights, format_bytes(op.written_bytes), after.get(index, ""))
    return table


def _table(*names: str) -> Table:
    """Two columns of text that may fold, and figures that may not."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, name in enumerate(names):
        table.add_column(name, justify="left" if column < 2 else "right", overflow="fold", no_wrap=column >= 2)
    return table

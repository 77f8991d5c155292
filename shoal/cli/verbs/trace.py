"""Show what operators and kernels take, and what could be fused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli import options
from shoal.errors import InputError
from shoal.units import format_seconds

if TYPE_CHECKING:
    from shoal.measure.trace import Fusion, HostMetrics, QueueMetrics, Share, Trace

EXAMPLES = (
    "shoal trace trace.json",
    "shoal trace llama --tokens 64",
    "shoal trace config.json --batch 4 --csv trace.csv",
)


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|MODEL",
            help="a trace that torch.profiler exported; or a language model: the name of one that comes with shoal, "
            "a config.json or a folder with one (its weights do not matter)",
        ),
    ],
    batch: Annotated[int, typer.Option(min=1, help="of a model: sequences")] = 1,
    tokens: Annotated[int, typer.Option(min=1, help="of a model: tokens of each")] = 32,
    steps: Annotated[int, typer.Option(min=0, help="of a model: tokens to generate after them; 0: read only")] = 0,
    top: Annotated[int, typer.Option(min=1, help="how many operators or kernels are listed")] = 10,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the tree of all events as a table")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show what operators and kernels take, and what could be fused.

    A device with a queue is told by launch and queuing time (TKLQT); a CPU, which has none, by what it spends beside
    its kernels.
    """
    from shoal.measure.trace import fusions, host_kernels, host_metrics, load_chrome, queue_metrics, write_csv

    options.writable(csv)
    trace = load_chrome(what) if _is_trace(what) else _of_model(what, batch, tokens, steps)
    if csv is not None:
        write_csv(trace, csv)
    queued = bool(trace.kernels)
    metrics = queue_metrics(trace, top) if queued else host_metrics(trace, top)
    names = [each.name for each in trace.kernels] or [trace.operators[at].name for at in host_kernels(trace)]
    found = fusions(names, trace.stops()) if names else ()
    if json:
        options.emit({"trace": what, "queue": queued, "metrics": _figures(metrics), "fusions": _chains(found)})
        return
    _show(what, metrics, found)


def _is_trace(what: str) -> bool:
    """Whether a file is meant, and none that describes a model."""
    path = Path(what)
    return path.suffix == ".json" and path.name != "config.json"


def _of_model(what: str, batch: int, tokens: int, steps: int) -> Trace:
    from shoal.llm.launches import decode, prefill, traced

    if steps and batch > 1:
        raise InputError("tokens are generated for one sequence", where="--steps", had=f"a batch of {batch}")
    model = _model(what)
    warm, call = ((decode(model, tokens, steps) if steps else prefill(model, batch, tokens)) for _ in range(2))
    warm()
    return traced(call)


def _model(what: str) -> Any:
    from shoal import catalog, codec
    from shoal.llm.modules import module
    from shoal.llm.tiny import tiny

    names = catalog.names("llm/tiny")
    path = Path(what)
    if not path.exists():
        if what in names:
            return tiny(what).module()
        raise InputError(
            f"neither a file nor a model that comes with shoal: '{what}'", hint=catalog.nearest(what, names)
        )
    return module(codec.load(dict[str, Any], path / "config.json" if path.is_dir() else path))


def _figures(metrics: QueueMetrics | HostMetrics) -> dict[str, Any]:
    """All figures by name, those that follow from others too."""
    import dataclasses

    kind = type(metrics)
    names = [each.name for each in dataclasses.fields(kind)]
    names += [name for name, each in vars(kind).items() if isinstance(each, property)]
    return {name: getattr(metrics, name) for name in names}


def _chains(found: Sequence[Fusion]) -> list[dict[str, Any]]:
    return [
        {
            "length": each.length,
            "fused": each.fused,
            "kernels_left": each.kernels_left,
            "ideal_speedup": each.ideal_speedup,
            "begin_with": [chain.names[0] for chain in each.chains],
        }
        for each in found
        if each.fused
    ]


def _show(what: str, metrics: QueueMetrics | HostMetrics, found: Sequence[Fusion]) -> None:
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False)
    figures = Table(title=what, title_justify="left", box=None, pad_edge=False, show_header=False)
    for name, value in _figures(metrics).items():
        if not isinstance(value, tuple):
            figures.add_row(_words(name), format_seconds(value) if name.endswith("_s") else f"{value}")
    out.print(figures)
    out.print(_ranked(metrics.top))
    table = Table(title="chains that always follow", title_justify="left", box=None, pad_edge=False)
    for column in ("length", "fused", "kernels left", "at most faster"):
        table.add_column(column, justify="right")
    for each in found:
        if each.fused:
            table.add_row(f"{each.length}", f"{each.fused}", f"{each.kernels_left}", f"{each.ideal_speedup:.2f} ×")
    out.print(table)


def _words(name: str) -> str:
    """The name of a figure as people read it."""
    return "TKLQT" if name == "tklqt_s" else name.removesuffix("_s").replace("_", " ")


def _ranked(top: Sequence[Share]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="most time", title_justify="left", box=None, pad_edge=False)
    table.add_column("name")
    for column in ("count", "seconds"):
        table.add_column(column, justify="right")
    for each in top:
        table.add_row(escape(each.name), f"{each.count}", format_seconds(each.seconds))
    return table

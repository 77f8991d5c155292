"""A run as tables for the terminal: calm at 100 columns, whole at 80."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shoal.record import Run
from shoal.report import figures
from shoal.report.figures import Figure
from shoal.report.text import ABSENT, error, plain, plural, quantity, shorten

_SHOWN = (
    "busy_s",
    "utilisation",
    "cpu_s",
    "energy_per_item_j",
    "energy_j",
    "resident_bytes",
    "peak_bytes",
    "weights_bytes",
    "sent_bytes",
    "received_bytes",
    "items",
)
_LABEL_WIDTH, _SOURCE_WIDTH, _DEVICE_WIDTHS = 21, 9, (10, 16)


def print_table(run: Run, console: Console | None = None) -> None:
    """Print `run` as tables to `console`, by default the terminal."""
    console = console or Console()
    console.print(tables(run, console.width))


def tables(run: Run, width: int = 100) -> Group:
    """What `run` was, its figures beside the prediction, its devices, and notes, for `width` columns."""
    parts: list[RenderableType] = [_title(run), _whole(run)]
    parts += [_devices(run, names) for names in _groups(list(run.devices), width)]
    return Group(*parts, _facts(run))


def _title(run: Run) -> RenderableType:
    facts = [plural(run.items, "item"), f"window {run.window}", plural(len(run.devices), "device")]
    line = Text.assemble((plain(run.model), "bold"), (f"  {'  ·  '.join(facts)}", "dim"))
    line.no_wrap, line.overflow = True, "ellipsis"
    return Padding(line, (0, 1))


def _frame() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1), header_style="dim", show_edge=True)


def _whole(run: Run) -> Table:
    table = _frame()
    table.add_column("", width=_LABEL_WIDTH, no_wrap=True)
    for name in ("obtained", "predicted", "error"):
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    table.add_column("", style="dim", width=_SOURCE_WIDTH, no_wrap=True)
    for figure in figures.whole(run):
        table.add_row(
            figure.label,
            quantity(figure.obtained, figure.kind),
            Text(quantity(figure.predicted, figure.kind), style="dim"),
            error(figure.error),
            figure.provenance or "",
        )
    return table


def _groups(names: list[str], width: int) -> Iterator[list[str]]:
    """Device names in groups that fit beside labels and provenance in `width` columns."""
    used, group = 0, list[str]()
    room = width - _LABEL_WIDTH - _SOURCE_WIDTH - 6
    for name in names:
        column = _device_width(name) + 2
        if group and used + column > room:
            yield group
            used, group = 0, []
        used += column
        group.append(name)
    if group:
        yield group


def _device_width(name: str) -> int:
    low, high = _DEVICE_WIDTHS
    return min(max(low, len(name)), high)


def _devices(run: Run, names: Sequence[str]) -> Table:
    table = _frame()
    table.add_column("", width=_LABEL_WIDTH, no_wrap=True)
    for name in names:
        width = _device_width(name)
        table.add_column(Text(shorten(name, width), style="bold"), justify="right", no_wrap=True, width=width)
    table.add_column("", style="dim", width=_SOURCE_WIDTH, no_wrap=True)
    columns = [figures.device(run, name) for name in names]
    for key in _SHOWN:
        _device_row(table, [figures.pick(column, key) for column in columns])
    return table


def _device_row(table: Table, row: Sequence[Figure]) -> None:
    cells = [quantity(figure.obtained, figure.kind) for figure in row]
    if all(cell == ABSENT for cell in cells):
        return
    source = next((figure.provenance for figure in row if figure.provenance), "")
    table.add_row(row[0].label, *cells, source)


def _facts(run: Run) -> Table:
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, told in figures.goals(run).items():
        grid.add_row("planned for", Text(f"{plain(name)}: {told}"))
    grid.add_row("outputs", _outputs(run))
    if run.offered_items_per_s is not None:
        came, went = (quantity(each, "items/s") for each in (run.offered_items_per_s, run.obtained_items_per_s))
        grid.add_row("arrivals", f"{came} offered, {went} obtained; latencies count from arrival")
    if run.late_share is not None:
        grid.add_row("late items", quantity(run.late_share, "share"))
    if run.spans_dropped:
        grid.add_row("spans", f"{len(run.spans)} kept, {run.spans_dropped} more only counted")
    for note in run.notes:
        grid.add_row("note", Text(plain(note)))
    return grid


def _outputs(run: Run) -> Text:
    verdict = figures.verdict(run)
    style = {True: "green", False: "bold red", None: ""}[run.outputs_match]
    return Text(verdict, style)

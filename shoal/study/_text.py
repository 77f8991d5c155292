"""Studies as tables for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from shoal.report.text import date, plain
from shoal.study import contract
from shoal.study._facts import Made
from shoal.study._judge import VERDICTS, Judgement, Verdict, judged
from shoal.study._keep import Result
from shoal.study._words import ABSENT, figure, number
from shoal.study.contract import Source, Study

STYLES: dict[Verdict, str] = {
    "met": "green",
    "missed": "bold red",
    "not testable here": "yellow",
    "not run": "dim",
}
_ROWS = 40  # of a table, beyond which the terminal is told how many more there are

Entry = tuple[str, Study, Result | None]


def print_list(entries: Sequence[Entry], console: Console | None = None) -> None:
    """Every study with its claims; then how many are met, missed, not testable here, not run."""
    out = console or Console(highlight=False)
    if not entries:
        out.print("no study yet; docs/studies.md says how to write one")
        return
    for name, study, result in entries:
        out.print(_heading(name, study))
        out.print(_claims(judged(study, result.findings if result else ()), out.width))
        out.print(*_ended_early(result))
    out.print(tally(entries))


def print_study(entry: Entry, console: Console | None = None) -> None:
    """One study: where it was published, its claims with verdicts, what it showed, how it was made."""
    out = console or Console(highlight=False)
    name, study, result = entry
    out.print(_heading(name, study))
    out.print(Padding(Text(cited(study.source), style="dim"), (0, 1)))
    judgements = judged(study, result.findings if result else ())
    out.print(_claims(judgements, out.width))
    out.print(*_ended_early(result))
    for each in judgements:
        if each.finding and each.finding.why:
            out.print(Padding(f"{each.claim.key}: {plain(each.finding.why)}", (0, 1)), markup=False)
    for exhibit in result.exhibits if result else ():
        if exhibit.table:
            out.print(_table(exhibit.table))
        if exhibit.note:
            out.print(Padding(plain(exhibit.note.text), (0, 1)), markup=False)
    if result:
        out.print(Padding(Text(" · ".join(made_of(result.made)), style="dim"), (1, 1, 0, 1)))


def tally(entries: Iterable[Entry]) -> str:
    """One line: "12 studies: 40 claims met, 3 missed, 2 not testable here, 0 not run"."""
    found = list(entries)
    counts = Counter(
        each.verdict for _, study, result in found for each in judged(study, result.findings if result else ())
    )
    first, *others = (f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    noun = "study" if len(found) == 1 else "studies"
    return f"{len(found)} {noun}: claims {first}, {', '.join(others)}"


def cited(source: Source) -> str:
    """Where a system was published, in one line."""
    where = [source.venue, f"arXiv {source.arxiv}" if source.arxiv else "", str(source.year)]
    return plain(f"{source.authors}: “{source.title}”, {', '.join(filter(None, where))}")


def made_of(made: Made) -> list[str]:
    """How a result was made, in parts: command, seed, machine, versions, date, duration."""
    cores = "1 core" if made.cores == 1 else f"{made.cores} cores"
    return [
        made.command,
        *([f"seed {made.seed}"] if made.seed is not None else []),
        f"{made.processor}, {cores}",
        ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        *([f"commit {made.commit}"] if made.commit else []),
        date(made.started_at),
        f"took {duration(made.duration_s)}",
    ]


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8.2 s", "12 min"."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _heading(name: str, study: Study) -> Text:
    return Text.assemble("\n ", (name, "bold"), ("  ", ""), (plain(study.title), "dim"))


def _claims(judgements: Sequence[Judgement], width: int) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), header_style="dim", width=min(width, 110))
    grid.add_column("claim", ratio=1)
    grid.add_column("published\nneeded", justify="right", max_width=20)
    grid.add_column("obtained\nhow", justify="right", max_width=16)
    grid.add_column("verdict", width=18)
    for each in judgements:
        grid.add_row(*_row(each))
    return grid


def _row(each: Judgement) -> tuple[Text, ...]:
    claim, how = each.claim, each.finding.provenance if each.finding else None
    needed = claim.rule.needs(claim.published, claim.unit)
    return (
        Text(plain(claim.text)),
        Text.assemble(published(claim), "\n", (needed, "dim")),
        Text.assemble(obtained(each), "\n", (how or "", "dim")),
        Text(each.text, STYLES[each.verdict]),
    )


def published(claim: contract.Claim) -> str:
    """The published figure with its unit, or the words it was given in."""
    return plain(claim.published) if isinstance(claim.published, str) else figure(claim.published, claim.unit)


def obtained(each: Judgement) -> str:
    """The figure obtained with its unit."""
    return figure(each.finding.obtained, each.claim.unit) if each.finding else ABSENT


def _ended_early(result: Result | None) -> list[RenderableType]:
    if result is None or result.complete:
        return []
    told = f": {plain(result.failure)}" if result.failure else ""
    return [Padding(Text(f"it ended early{told}; what it had is shown", "yellow"), (0, 1))]


def _table(table: contract.Table) -> Grid:
    grid = Grid(
        box=box.SIMPLE_HEAD, padding=(0, 1), header_style="dim", title=plain(table.title), title_justify="left"
    )
    numeric = [all(not isinstance(row[index], str) for row in table.rows) for index in range(len(table.columns))]
    for column, right in zip(table.columns, numeric, strict=True):
        grid.add_column(plain(column), justify="right" if right else "left")
    for cells in table.rows[:_ROWS]:
        grid.add_row(*(Text(shown(cell)) for cell in cells))
    left = [f"{len(table.rows) - _ROWS} more rows are on the page"] if len(table.rows) > _ROWS else []
    grid.caption = ". ".join(filter(None, (plain(table.note), *left))) or None
    grid.caption_justify = "left"
    return grid


def shown(cell: contract.Cell) -> str:
    """A cell for reading."""
    return ABSENT if cell is None else plain(cell) if isinstance(cell, str) else number(cell)

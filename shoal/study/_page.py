"""Studies as one self-contained page. Every text from outside is escaped."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shoal import codec
from shoal.report.charts import Chart as Drawn
from shoal.report.html import Charts, document
from shoal.report.sections import section, text
from shoal.study import contract
from shoal.study._charts import drawn, gantt
from shoal.study._facts import Made
from shoal.study._judge import VERDICTS, Judgement, judged
from shoal.study._keep import Exhibit, Result
from shoal.study._text import Entry, cited, duration, made_of, obtained, published, shown, tally
from shoal.study._words import number

_MEANING: dict[contract.Provenance, str] = {
    "measured": "a clock, a counter or a byte count on the machine that ran",
    "emulated": "really executed, paced to a board's speed",
    "simulated": "the event simulation of the same program, or a machine model",
    "modelled": "measured time times stated power",
    "predicted": "an estimate made before any run",
    "computed": "an exact calculation that no machine's speed enters",
}
_CLASSES = {"met": "good", "missed": "bad", "not testable here": "open", "not run": "none"}


def write_page(entries: Sequence[Entry], path: Path) -> None:
    """Write the page about one study, or an overview of several with each below.

    Raises:
        InputError: the file cannot be written.
    """
    codec.write_bytes(page(entries).encode(), path)


def page(entries: Sequence[Entry]) -> str:
    """The page, whole."""
    charts = Charts()
    if len(entries) == 1:
        name, study, _ = entries[0]
        return document(f"{name}: {study.title}", _one(entries[0], charts), charts)
    head = (
        f'<header><p class="eyebrow">shoal study</p><h1>Studies</h1><p class="facts">{tally(entries)}</p></header>'
    )
    folds = "".join(
        f"<details><summary>{text(name)} <span>{text(study.title)}</span></summary>"
        f"{_one((name, study, result), charts)}</details>"
        for name, study, result in entries
    )
    return document("Studies", f"{head}{section('All studies', _overview(entries))}{folds}", charts)


def _one(entry: Entry, charts: Charts) -> str:
    name, study, result = entry
    judgements = judged(study, result.findings if result else ())
    exhibits = result.exhibits if result else ()
    notes = "".join(f"<li>{text(each.note.text)}</li>" for each in exhibits if each.note)
    return "".join(
        (
            f'<header><p class="eyebrow">shoal study · {text(name)}</p><h1>{text(study.title)}</h1>'
            f'<p class="facts">{text(cited(study.source))}</p>{_state(result)}</header>',
            section("Claims", _claims(judgements), _lead(judgements)),
            section("Method", _paragraphs(study)),
            *(_exhibit(each, charts) for each in exhibits),
            section("Notes", f"<ul>{notes}</ul>" if notes else ""),
            section("How it was made", _made(result.made, judgements) if result else ""),
        )
    )


def _state(result: Result | None) -> str:
    if result is None:
        return '<p class="facts">Not run yet.</p>'
    if result.complete:
        return ""
    told = f": {text(result.failure)}" if result.failure else ""
    return f'<p class="facts bad">It ended early{told}. What it had is shown.</p>'


def _lead(judgements: Sequence[Judgement]) -> str:
    counts = Counter(each.verdict for each in judgements)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]).capitalize() + "."


def _claims(judgements: Sequence[Judgement]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in ("published", "needed", "obtained", "how", "verdict"))
    rows = "".join(map(_row, judgements))
    return _scrolling(f"<thead><tr><th>claim</th>{heads}</tr></thead><tbody>{rows}</tbody>", "claims")


def _row(each: Judgement) -> str:
    claim, finding = each.claim, each.finding
    why = f"<small>{text(finding.why)}</small>" if finding and finding.why else ""
    how = (
        f'<b class="badge {finding.provenance}">{finding.provenance}</b>' if finding and finding.provenance else ""
    )
    by = f"<small>{text(each.by)}</small>" if each.by else ""
    return (
        f"<tr><th>{text(claim.text)}{why}</th><td>{text(published(claim))}</td>"
        f"<td>{text(claim.rule.needs(claim.published, claim.unit))}</td>"
        f"<td>{text(obtained(each))}{_spread(finding)}</td><td>{how}</td>"
        f'<td><b class="verdict {_CLASSES[each.verdict]}">{each.verdict}</b>{by}</td></tr>'
    )


def _spread(finding: contract.Finding | None) -> str:
    if finding is None:
        return ""
    parts = [f"{number(finding.interval[0])} … {number(finding.interval[1])}"] if finding.interval else []
    parts += [f"n = {finding.n}"] if finding.n else []
    return f"<small>{', '.join(parts)}</small>" if parts else ""


def _paragraphs(study: contract.Study) -> str:
    """The study's docstring."""
    parts = inspect.cleandoc(type(study).__doc__ or "").split("\n\n")
    return "".join(f'<p class="prose">{text(" ".join(part.split()))}</p>' for part in parts if part)


def _exhibit(exhibit: Exhibit, charts: Charts) -> str:
    if exhibit.chart:
        return _picture(exhibit.chart, drawn(exhibit.chart), charts)
    if exhibit.gantt:
        return _picture(exhibit.gantt, gantt(exhibit.gantt), charts)
    if exhibit.table:
        return section(exhibit.table.title, _table(exhibit.table), exhibit.table.note)
    return ""


def _picture(shown: contract.Chart | contract.Gantt, figure: Drawn, charts: Charts) -> str:
    return section(shown.title, charts.place(figure, shown.title), shown.note)


def _table(table: contract.Table) -> str:
    heads = "".join(f"<th>{text(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<{tag}>{text(shown(cell))}</{tag}>" for tag, cell in _tagged(cells)) + "</tr>"
        for cells in table.rows
    )
    return _scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>", "exhibit")


def _tagged(cells: Sequence[contract.Cell]) -> list[tuple[str, contract.Cell]]:
    return [("td" if index else "th", cell) for index, cell in enumerate(cells)]


def _made(made: Made, judgements: Sequence[Judgement]) -> str:
    facts = [text(part) for part in made_of(made)]
    facts.append("options: " + ", ".join(f"{text(name)} = {text(value)}" for name, value in made.options.items()))
    used = {each.finding.provenance for each in judgements if each.finding}
    meanings = [f'<b class="badge {how}">{how}</b> {_MEANING[how]}' for how in _MEANING if how in used]
    return f"<ul>{''.join(f'<li>{line}</li>' for line in (*facts, *meanings))}</ul>"


def _overview(entries: Sequence[Entry]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in (*VERDICTS, "took"))
    rows = "".join(map(_overview_row, entries))
    return _scrolling(f"<thead><tr><th>study</th>{heads}</tr></thead><tbody>{rows}</tbody>", "claims")


def _overview_row(entry: Entry) -> str:
    name, study, result = entry
    counts = Counter(each.verdict for each in judged(study, result.findings if result else ()))
    cells = "".join(
        f'<td><b class="verdict {_CLASSES[verdict] if counts[verdict] else "none"}">{counts[verdict]}</b></td>'
        for verdict in VERDICTS
    )
    took = duration(result.made.duration_s) if result else ""
    return f"<tr><th>{text(name)}<small>{text(study.title)}</small></th>{cells}<td>{took}</td></tr>"


def _scrolling(table: str, kind: str = "") -> str:
    return f'<div class="scroll"><table class="{kind}">{table}</table></div>'

"""A taxonomy with its status as a tree, as a page, for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shoal.report.html import Charts, document
from shoal.report.sections import section, text
from shoal.study.taxonomy._registry import Registry
from shoal.study.taxonomy._status import Judged, Status, count

LEGEND = f"{Status.WORKING} here, its test passed   {Status.UNTESTED} here, no test of it is known   {Status.ABSENT} not here"
WORDS = {Status.WORKING: "working", Status.UNTESTED: "untested", Status.ABSENT: "absent"}
CLASSES = {Status.WORKING: "good", Status.UNTESTED: "open", Status.ABSENT: "none"}


def tree(found: Registry, judged: Sequence[Judged]) -> str:
    """Lines of text: branches with how many of their entries work, entries with their status."""
    return "\n".join([*_lines(found, judged), "", LEGEND])


def as_json(found: Registry, judged: Sequence[Judged]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "title": found.title,
        "source": found.source,
        "branches": {
            branch: {"title": title} | {WORDS[status]: each for status, each in count(judged, branch).items()}
            for branch, title in found.branches.items()
        },
        "entries": [_entry(each) for each in judged],
    }


def page(found: Registry, judged: Sequence[Judged]) -> str:
    """The map as one self-contained page."""
    total = count(judged)
    facts = ", ".join(f"{total[status]} {word}" for status, word in WORDS.items())
    head = f'<header><p class="eyebrow">shoal taxonomy</p><h1>{text(found.title)}</h1><p class="facts">{facts}</p></header>'
    parts = [_branch(found, judged, branch) for branch in found.branches if any(found.of(branch))]
    foot = f'<p class="facts">{text(LEGEND)}. {text(found.source)}.</p>'
    return document(found.title, f"{head}{''.join(parts)}{foot}", Charts())


def _lines(found: Registry, judged: Sequence[Judged]) -> Iterator[str]:
    by = {each.entry.id: each for each in judged}
    for branch, title in found.branches.items():
        depth, counts = branch.count("."), count(judged, branch)
        yield f"{'  ' * depth}{branch}  {title}  {counts[Status.WORKING]}/{sum(counts.values())}"
        for entry in found.of(branch):
            yield f"{'  ' * (depth + 1)}{by[entry.id].status} {entry.id.rpartition('.')[2]}  {entry.title}"


def _branch(found: Registry, judged: Sequence[Judged], branch: str) -> str:
    cells = [
        (
            CLASSES[each.status],
            each.status,
            each.entry.title,
            each.entry.what,
            each.entry.by,
            "; ".join(each.faults),
        )
        for each in judged
        if each.entry.branch == branch
    ]
    columns = ("", "technique", "what it does", "where", "what is wrong")
    return section(branch, table(columns, cells), found.branches[branch])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of what is here: each row is the class of its first cell ("good", "open", "none"), then its cells."""
    head = "".join(f"<th>{text(name)}</th>" for name in columns)
    body = "".join(
        f'<tr><td class="{kind}">{text(first)}</td>{"".join(f"<td>{text(each)}</td>" for each in rest)}</tr>'
        for kind, first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _entry(each: Judged) -> dict[str, Any]:
    entry = each.entry
    return {
        "id": entry.id, "title": entry.title, "what": entry.what, "status": WORDS[each.status], "by": entry.by,
        "exact": entry.exact, "test": entry.test, "study": entry.study, "knobs": list(entry.knobs),
        "refs": list(entry.refs), "faults": list(each.faults),
    }  # fmt: skip

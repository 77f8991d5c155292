"""Judged leaves as a tree, as a page, for machines."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from shoal.report.html import Charts, document
from shoal.report.sections import section, text
from shoal.study.coverage._judge import Judged
from shoal.study.coverage._leaves import Leaves
from shoal.study.taxonomy import table

MARKS = {"covered": "✔", "partly": "◐", "missing": "○", "out of scope": "–", "failed": "✘"}
CLASSES = {"covered": "good", "partly": "open", "missing": "none", "out of scope": "none", "failed": "bad"}


def count(judged: Sequence[Judged]) -> dict[str, int]:
    """How many are in each state."""
    return {state: sum(each.state == state for each in judged) for state in MARKS}


def stamp() -> dict[str, str]:
    """When and where."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "host": platform.node()}


def tree(found: Leaves, judged: Sequence[Judged]) -> str:
    """Lines of text: branches with how many of their leaves are covered, leaves with their figures."""
    when = stamp()
    counts = ", ".join(f"{number} {state} {MARKS[state]}" for state, number in count(judged).items() if number)
    return "\n".join([*_lines(found, judged), "", counts, f"measured on {when['host']}, {when['date']}"])


def as_json(found: Leaves, judged: Sequence[Judged]) -> dict[str, Any]:
    """The same for machines."""
    leaves = [_leaf(each) for each in judged]
    return {"title": found.title, "source": found.source, **stamp(), "counts": count(judged), "leaves": leaves,
            "beyond_language_models": list(found.beyond)}  # fmt: skip


def page(found: Leaves, judged: Sequence[Judged]) -> str:
    """The same as one self-contained page."""
    when = stamp()
    facts = ", ".join(f"{number} {state}" for state, number in count(judged).items())
    head = (
        f'<header><p class="eyebrow">shoal coverage</p><h1>{text(found.title)}</h1>'
        f'<p class="facts">{text(facts)}. {text(when["host"])}, {text(when["date"])}</p></header>'
    )
    parts = [_branch(judged, each.id, each.title) for each in found.branches]
    beyond = section("Beyond language models", f"<p>{text(', '.join(found.beyond))}</p>" if found.beyond else "")
    return document(
        found.title, f'{head}{"".join(parts)}{beyond}<p class="facts">{text(found.source)}</p>', Charts()
    )


def figures(each: Judged) -> str:
    """What was measured, in a line; where nothing was, why."""
    if each.faults:
        return "; ".join(each.faults)
    shown = ", ".join(f"{name} {figure:.4g}" for name, figure in each.figures.items())
    model = "by a machine model: " if each.leaf.by == "machine model" else ""
    return ". ".join(filter(None, (model + shown if shown else "", each.leaf.why)))


def _lines(found: Leaves, judged: Sequence[Judged]) -> Iterator[str]:
    for branch in found.branches:
        within = [each for each in judged if each.leaf.parent == branch.id]
        if not within:
            continue
        yield f"{branch.id}  {branch.title}  {count(within)['covered']}/{len(within)}"
        for each in within:
            yield f"  {MARKS[each.state]} {each.leaf.id:<3} {each.leaf.title}: {figures(each)}"


def _branch(judged: Sequence[Judged], branch: str, title: str) -> str:
    rows = [
        (CLASSES[each.state], MARKS[each.state], each.leaf.id, each.leaf.title, each.leaf.what, figures(each),
         f"{each.took_s:.1f} s, {each.peak_bytes / 1e6:.0f} MB" if each.peak_bytes else "", each.leaf.capability,
         ", ".join(each.leaf.systems))
        for each in judged
        if each.leaf.parent == branch
    ]  # fmt: skip
    columns = ("", "", "technique", "what it is", "measured", "the check took", "where", "systems")
    return section(branch, table(columns, rows), title) if rows else ""


def _leaf(each: Judged) -> dict[str, Any]:
    leaf = each.leaf
    return {
        "id": leaf.id, "title": leaf.title, "parent": leaf.parent, "what": leaf.what, "state": each.state,
        "claimed": leaf.state, "why": leaf.why, "capability": leaf.capability, "by": leaf.by,
        "figures": dict(each.figures), "expects": {name: str(bound) for name, bound in (leaf.expects or {}).items()},
        "faults": list(each.faults), "took_s": each.took_s, "peak_bytes": each.peak_bytes,
        "needs": list(leaf.needs), "systems": list(leaf.systems),
    }  # fmt: skip

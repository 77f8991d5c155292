from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_a_page_and_a_trace(shoal: Any, simulated: Path) -> None:
    done = shoal("report", simulated, "-o", "pages/page.html", "--trace", "trace.json")
    assert done.code == 0
    assert "page written to pages/page.html" in done.out
    page = Path("pages/page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "four" in page
    assert json.loads(Path("trace.json").read_text())["traceEvents"]


def test_json_gives_each_run(shoal: Any, simulated: Path) -> None:
    found = shoal("report", simulated, simulated, "--json").json
    assert [run["items"] for run in found] == [8, 8]
    assert found[0]["provenance"]["period_s"] == "simulated"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no.json",), "no.json: cannot read: No such file"),
        (("{plan}/plan.json",), "plan.json: not a run"),
        (("text.txt",), "text.txt: not a run"),
        (("{run}", "-o", "text.txt/page.html"), "text.txt/page.html: cannot write"),
        (("{run}", "-o", "."), "cannot write: it is a folder"),
        (("{run}", "--trace", "text.txt/trace.json"), "text.txt/trace.json: cannot write"),
        ((), "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, simulated: Path, plan: Path) -> None:
    Path("text.txt").write_text("[[devices]]\n")
    assert told in shoal("report", *(each.format(plan=plan, run=simulated) for each in arguments)).complaint

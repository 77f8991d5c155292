"""`shoal study`, on a family of one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study.toys import GRAHAM, install


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    yield install(monkeypatch, tmp_path, graham=GRAHAM)
    sys.modules.pop("shoal.study.graham", None)


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_listing_before_and_after_a_run(shoal: Any, columns: int) -> None:
    assert "1 study: claims 0 met, 0 missed, 0 not testable here, 4 not run" in shoal("study", columns=columns).out
    assert shoal("study", "graham").code == 0
    done = shoal("study", columns=columns)
    assert "1 study: claims 2 met, 1 missed, 1 not testable here, 0 not run" in done.out
    assert max(map(len, done.out.splitlines())) <= columns
    for told in ("the worst case of four", "= 1.75 × ± 1e-09 ×", "1.75 ×", "computed", "missed by 100 %"):
        assert told.removeprefix("= ") in done.out


@pytest.mark.usefixtures("family")
def test_one_study_is_run_shown_and_written(shoal: Any) -> None:
    done = shoal("study", "graham:processors=3", "-o", "out/result.json", "--report")
    assert done.code == 0  # a missed claim is no failure
    assert "worst: missed" in done.err
    for told in ("Graham: “Bounds on", "missed", "not <halved> at all", "The optimum is known", "Ratios", "took"):
        assert told in done.out
    assert json.loads(Path("out/result.json").read_text())["complete"]
    assert Path("out/result.html").read_text().startswith("<!doctype html>")


@pytest.mark.usefixtures("family")
def test_json_of_one_and_of_all(shoal: Any) -> None:
    one = shoal("study", "graham", "--json").json
    assert one["name"] == "graham"
    assert [claim["verdict"] for claim in one["claims"]] == ["met", "missed", "met", "not testable here"]
    assert one["claims"][1]["margin"] == pytest.approx(-1.0)
    assert shoal("study", "--json").json == [one]
    assert shoal("study", "graham", "--show", "--json").json == one


@pytest.mark.usefixtures("family")
def test_pages_of_kept_results(shoal: Any) -> None:
    shoal("study", "graham")
    assert "page written to graham.html" in shoal("study", "graham", "--show", "--report").out
    assert "page written to studies.html" in shoal("study", "--report").out
    assert "missed" in Path("studies.html").read_text()


def test_what_ships_goes_into_the_package(shoal: Any, family: Path) -> None:
    assert shoal("study", "graham", "--keep").code == 0
    assert json.loads((family / "study/results/graham.json").read_text())["name"] == "graham"


@pytest.mark.usefixtures("family")
def test_a_study_that_fails(shoal: Any) -> None:
    done = shoal("study", "graham:broken=work")
    assert done.code == 1
    assert "error: the belt slipped" in done.err
    assert "what it had is kept in" in done.err
    assert shoal("study", "graham:broken=work", "--json").json["error"]["kind"] == "WorkError"


def test_a_family_without_members(shoal: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path)
    done = shoal("study")
    assert (done.code, done.out) == (0, "no study yet; docs/studies.md says how to write one\n")
    assert shoal("study", "--json").json == []


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("grahm",), "no study is called 'grahm'"),
        (("graham:procesors=3",), "did you mean 'processors'?"),
        (("graham", "--show"), "no result is kept"),
        (("graham", "--show", "--keep"), "nothing is run that could be written"),
        (("-o", "x.json"), "nothing is run that could be written"),
        (("graham", "--keep", "-o", "x.json"), "default options, in its own place"),
        (("graham", "-o", "."), "cannot write: it is a folder"),
        (("graham", "-o", "x.html", "--report"), "would be one file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any) -> None:
    assert told in shoal("study", *arguments).complaint

"""`shoal taxonomy`: the tree, the page, and a check that fails where something is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("scipy")

from shoal.study.taxonomy import registry


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    """A list in which every test that the registry names has passed."""
    cases = ""
    for test in {each.test for each in registry().entries if each.test}:
        file, _, name = test.partition("::")
        cases += f'<testcase classname="{file.removesuffix(".py").replace("/", ".")}" name="{name}"/>'
    path = tmp_path / "tests.xml"
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return path


def test_the_tree_and_its_page(shoal: Any, junit: Path, tmp_path: Path) -> None:
    done = shoal("taxonomy", "--junit", str(junit), "--html", "map.html")
    assert done.code == 0
    assert "✔ mass  Experts that are hardly used" in done.out
    assert "○ hybrid  Experts whole and in parts" in done.out
    assert "Experts over devices" in (tmp_path / "map.html").read_text()
    found = shoal("taxonomy", "--junit", str(junit), "--json").json
    by = {each["id"]: each for each in found["entries"]}
    assert by["model.algo.skip.second"]["status"] == "working"
    assert found["branches"]["system.ep.sched"]["working"] == 0
    assert found["branches"]["system.ep.balance"]["working"] == 3


def test_without_tests_that_ran_nothing_is_said_to_work(
    shoal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    out = shoal("taxonomy").out
    assert "◐ mass" in out
    assert "✔ mass" not in out


def test_the_check_tries_everything_and_fails_where_something_is_gone(
    shoal: Any, junit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shoal("taxonomy", "--check", "--junit", str(junit)).code == 0
    from shoal.llm.experts import merge

    monkeypatch.delattr(merge, "Merge")
    monkeypatch.setattr("shoal.study.taxonomy.smoked", lambda technique: "")
    done = shoal("taxonomy", "--check", "--junit", str(junit))
    assert done.code == 1
    assert "○ cluster" in done.out
    assert "model.algo.merge.cluster: shoal.llm.experts.merge has no 'Merge'" in done.err

"""What every study promises: claims that can be judged, a quick run that answers each of them, a fitting result."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from shoal import catalog, codec
from shoal.study import Result, Study, check, conduct, job, judged
from shoal.study._keep import shipped_path

STUDIES = catalog.names("study")
RESULTS = sorted((catalog.ROOT / "study" / "results").glob("*.json"))
KEY = re.compile(r"[a-z][a-z0-9_]*")


def study(name: str) -> Study:
    made: Study = catalog.make("study", name)
    return made


@pytest.mark.parametrize("name", STUDIES)
def test_it_says_what_it_checks_and_how(name: str) -> None:
    member = study(name)
    check(member, name)
    assert member.title
    assert member.source.title
    assert member.source.authors
    assert member.source.year > 1900
    assert len((type(member).__doc__ or "").splitlines()) > 1, "the docstring tells the method"
    for claim in member.claims:
        assert KEY.fullmatch(claim.key)
        assert claim.text == claim.text.strip() != ""


@pytest.mark.parametrize("name", STUDIES)
def test_each_option_has_a_default_and_a_comment(name: str) -> None:
    source = (catalog.ROOT / "study" / f"{name}.py").read_text()
    for field in dataclasses.fields(study(name)):  # type: ignore[arg-type]  # members are dataclasses
        assert field.default is not dataclasses.MISSING
        assert re.search(rf"^    {field.name}: .*# \S", source, re.MULTILINE), field.name


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_run_answers_every_claim(name: str, tmp_path: Path) -> None:
    quick = study(name).quick
    wanted = job(f"{name}:{quick}", tmp_path / "result.json")
    result = conduct(wanted)
    assert [each.claim.key for each in judged(wanted.study, result.findings) if each.verdict == "not run"] == []
    assert codec.load(Result, tmp_path / "result.json") == result
    for finding in result.findings:
        assert finding.interval is None or finding.interval[0] <= finding.interval[1], finding


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_that_ships_is_whole_and_fits_its_study(path: Path) -> None:
    result = codec.load(Result, path)
    assert path == shipped_path(result.name)
    assert result.complete
    assert {finding.key for finding in result.findings} <= {claim.key for claim in study(result.name).claims}
    judged(study(result.name), result.findings)
    assert result.made.command == f"shoal study {result.name}"

"""Running a study: what is kept, when, and which result counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shoal import codec
from shoal.errors import InputError, WorkError
from shoal.study import Finding, Result, conduct, job, judged, kept, summary
from shoal.study._keep import own_path, partial_path, shipped_path

NAME = "graham"


def test_a_whole_result_and_where_it_came_from(family: Path) -> None:
    heard: list[str] = []
    wanted = job(NAME)
    result = conduct(wanted, heard.append)
    assert result.complete
    assert [each.verdict for each in judged(wanted.study, result.findings)] == [
        "met", "missed", "met", "not testable here",
    ]  # fmt: skip
    assert kept(NAME) == result == codec.load(Result, own_path(NAME))
    assert not partial_path(own_path(NAME)).exists()
    made = result.made
    assert made.command == "shoal study graham"
    assert made.options == {"processors": "4", "broken": ""}
    assert {"shoal", "python", "numpy", "onnxruntime"} <= set(made.versions)
    assert made.processor
    assert made.duration_s > 0
    assert [line.partition("s  ")[2] for line in heard[-2:]] == ["always: met", "clock: not testable here"]


@pytest.mark.parametrize(
    ("broken", "error", "told"),
    [
        ("work", WorkError, "belt"),
        ("key", InputError, "no claim has the key 'wurst'"),
        ("defect", ZeroDivisionError, None),
    ],
)
def test_what_a_failing_study_had_is_kept(
    family: Path, broken: str, error: type[Exception], told: str | None
) -> None:
    wanted = job(f"{NAME}:broken={broken}")
    with pytest.raises(error, match=told):
        conduct(wanted)
    assert not wanted.path.exists()
    left = codec.load(Result, partial_path(wanted.path))
    assert left.findings[0] == Finding("worst", 1.75, "computed")
    assert not left.complete
    assert (told or "") in left.failure


def test_where_a_run_kept_its_files_is_not_kept(family: Path) -> None:
    result = conduct(job(f"{NAME}:broken=path"))
    assert [each.why for each in result.findings if each.key == "always"] == ["orders"]


def test_every_finding_is_on_disk_before_the_next_is_made(family: Path) -> None:
    wanted, seen = job(NAME), []

    def look(_: str) -> None:
        seen.append(len(codec.load(Result, partial_path(wanted.path)).findings))

    conduct(wanted, look)
    assert seen == sorted(seen)
    assert seen[-1] == 4


def test_the_newest_whole_result_counts(family: Path) -> None:
    assert kept(NAME) is None
    result = conduct(job(NAME, keep=True))
    assert shipped_path(NAME).is_relative_to(family)
    assert kept(NAME) == result
    older = replace(result, made=replace(result.made, started_at="2001-01-01T00:00:00+00:00"))
    newer = replace(result, made=replace(result.made, started_at="2999-01-01T00:00:00+00:00"))
    codec.save(older, own_path(NAME))
    assert kept(NAME) == result
    codec.save(newer, own_path(NAME))
    assert kept(NAME) == newer
    codec.save(replace(newer, complete=False), partial_path(own_path(NAME)))
    assert kept(NAME) == newer


def test_what_was_cut_off_counts_where_nothing_else_is(family: Path) -> None:
    result = replace(conduct(job(NAME)), complete=False)
    own_path(NAME).rename(partial_path(own_path(NAME)))
    codec.save(result, partial_path(own_path(NAME)))
    assert kept(NAME) == result


def test_a_damaged_file_hides_no_other(family: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = conduct(job(NAME, keep=True))
    codec.write_bytes(b"{", own_path(NAME))
    assert kept(NAME) == result
    assert "graham.json" in caplog.text


def test_other_options_have_a_file_of_their_own(family: Path) -> None:
    wanted = job(f"{NAME}:processors=3")
    result = conduct(wanted)
    assert result.made.command == "shoal study graham:processors=3"
    assert kept(NAME) is None
    assert kept(NAME, wanted.changed) == result
    assert job(f"{NAME}:processors=4").path == own_path(NAME)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grahm", "no study is called 'grahm'"),
        ("graham:procesors=3", "no option 'procesors'"),
        ("graham:processors=many", "Expected `int`"),
    ],
)
def test_wrong_names_and_options(family: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        job(text)


def test_what_ships_is_made_with_the_defaults(family: Path) -> None:
    with pytest.raises(InputError, match="default options"):
        job(f"{NAME}:processors=3", keep=True)


def test_two_findings_for_one_claim(family: Path) -> None:
    result = conduct(job(NAME))
    with pytest.raises(InputError, match="found twice"):
        result.adding(Finding("worst", 1.0, "computed"))


def test_json_has_the_promised_keys(family: Path) -> None:
    wanted = job(NAME)
    told = json.loads(codec.encode(summary(NAME, wanted.study, conduct(wanted))))
    assert {"name", "claims"} <= set(told)
    for claim in told["claims"]:
        assert {"claim", "published", "obtained", "unit", "provenance", "verdict", "why"} <= set(claim)
    assert told["claims"][3]["why"] == "that machine is gone"
    assert told["made"]["command"] == "shoal study graham"
    unrun = json.loads(codec.encode(summary(NAME, wanted.study, None)))
    assert {claim["verdict"] for claim in unrun["claims"]} == {"not run"}

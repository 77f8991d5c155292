"""The map of a taxonomy: status comes from tests that ran, and what is gone is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoal.errors import InputError
from shoal.study.taxonomy import (
    Evidence,
    Status,
    count,
    kept_evidence,
    page,
    read_junit,
    registry,
    run_tests,
    shapes,
    statuses,
    tree,
)
from shoal.study.taxonomy._evidence import ROOT

STATISTICS = "tests/llm/experts/test_load.py::test_statistics_by_hand"
JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.llm.test_a" name="test_one[x]"/>
<testcase classname="tests.llm.test_a" name="test_one[y]"><failure message="no"/></testcase>
<testcase classname="tests.llm.test_a" name="test_two"/>
<testcase classname="tests.llm.test_a" name="test_three"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def all_passed() -> Evidence:
    return Evidence({each.test: True for each in registry().entries if each.test})


def test_tests_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(JUNIT)
    found = read_junit(tmp_path / "junit.xml")
    test = "tests/llm/test_a.py::test_"
    assert [found.of(test + name) for name in ("one", "one[x]", "one[y]", "two", "three", "four")] == [
        False, True, False, True, False, None,
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_what_is_no_list_of_tests(tmp_path: Path, content: str) -> None:
    (tmp_path / "junit.xml").write_text(content)
    with pytest.raises(InputError):
        read_junit(tmp_path / "junit.xml")


def test_tests_are_run_and_what_they_show_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))
    assert kept_evidence().of(STATISTICS) is None
    found = run_tests(
        [STATISTICS, "tests/llm/experts/test_load.py::test_of_nothing", "tests/none.py::test_of_nothing"]
    )
    assert found.passed == {STATISTICS: True}
    assert kept_evidence() == found
    with pytest.raises(InputError, match="no tests are beside this installation"):
        run_tests([STATISTICS], tmp_path)


def test_every_claim_leads_to_something_that_is_there() -> None:
    """Importing, a file of tests with that name in it."""
    for each in registry().entries:
        if each.by:
            file, _, name = each.test.partition("::")
            assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), each.id


def test_with_tests_that_passed_all_that_is_here_works(all_passed: Evidence) -> None:
    judged = statuses(registry(), all_passed)
    assert [each.faults for each in judged if each.faults] == []
    assert {each.entry.id for each in judged if each.status is Status.ABSENT} == {
        each.id for each in registry().entries if not each.by
    }
    assert count(judged, "hardware")[Status.WORKING] >= 3


def test_without_tests_nothing_counts_as_working() -> None:
    judged = statuses(registry())
    assert count(judged)[Status.WORKING] == 0
    assert all(each.faults == (f"{each.entry.test} did not run",) for each in judged if each.entry.by)


def test_a_test_that_failed_or_is_older_than_the_code_does_not_count(all_passed: Evidence) -> None:
    found = registry()
    first = next(each for each in found.entries if each.by)
    failed = statuses(found, Evidence({**all_passed.passed, first.test: False}))
    assert [each.faults for each in failed if each.entry == first] == [(f"{first.test} did not pass",)]
    old = statuses(found, replace(all_passed, made_s=1.0))
    assert count(old)[Status.WORKING] == 0
    assert all("was changed" in each.faults[0] for each in old if each.entry.by)


def test_an_implementation_that_is_deleted_turns_absent(
    all_passed: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.llm.experts import skip_second

    monkeypatch.delattr(skip_second, "SkipSecond")
    gone = [each for each in statuses(registry(), all_passed) if each.faults]
    assert [(each.entry.id, each.status) for each in gone] == [("model.algo.skip.second", Status.ABSENT)]
    assert gone[0].faults == ("shoal.llm.experts.skip_second has no 'SkipSecond'",)


def test_a_try_that_fails_is_a_fault(all_passed: Evidence) -> None:
    judged = statuses(
        registry(), all_passed, lambda technique: f"{technique} broke" if technique == "align" else ""
    )
    assert [each.faults for each in judged if each.faults] == [("align broke",)]


def test_the_map_is_shown_whole(all_passed: Evidence) -> None:
    found = registry()
    judged = statuses(found, all_passed)
    lines = tree(found, judged).splitlines()
    assert "      ✔ second  A second expert that hardly counts" in lines
    assert "      ○ hybrid  Experts whole and in parts" in lines
    shown = page(found, judged)
    assert all(each.title in shown for each in found.entries)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[entries]]\nid = "a.b"\ntitle = ""\nwhat = ""\n' * 2, "stands twice"),
        ('[[entries]]\nid = "c.b"\ntitle = ""\nwhat = ""\n', "hangs on no branch"),
        ('[[entries]]\nid = "a.b"\ntitle = ""\nwhat = ""\ntest = "x"\n', "nothing that it would test"),
        ("[[entries]]\nid = 3\n", "not a taxonomy: .*entries"),
        ("= =", "cannot read the taxonomy"),
    ],
)
def test_a_registry_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(f'title = "t"\nsource = "s"\n[branches]\na = "A"\n{text}')
    with pytest.raises(InputError, match=said):
        registry(path)


def test_shapes_give_the_published_weights_or_say_why_not() -> None:
    found = shapes()
    assert len(found) >= 25
    assert len({each.name for each in found}) == len(found)
    for each in found:
        assert each.flagged == bool(each.loose), each.name
        assert each.source
    off = {each.name: each.off for each in found}
    assert abs(off["Mixtral 8x7B"][0]) < 0.001
    assert abs(off["DeepSeek-V3"][0]) < 0.001

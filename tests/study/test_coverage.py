"""Coverage: checks that run apart, leaves that turn red when what they name is broken, taxonomies that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoal.errors import InputError
from shoal.study.coverage import (
    Bound,
    Figures,
    as_json,
    cases,
    count,
    every,
    judged,
    leaves,
    page,
    run,
    tree,
)
from shoal.study.coverage import _judge as judge
from shoal.study.coverage._alone import Job

HEAD = 'title = "t"\nsource = "s"\nbranches = [{ id = "A", title = "a" }]\n'
LEAF = '[[leaves]]\nid = "A1"\ntitle = ""\nparent = "A"\nwhat = ""\nstate = '


def answered(check: str) -> Figures:
    """Figures that nobody measured, within all limits."""
    found = next(each for each in leaves().leaves if each.check == check)
    limits = found.expects or {}
    return Figures(
        {name: each.least if each.least is not None else each.most or 0.0 for name, each in limits.items()}
    )


def test_every_system_is_named_and_most_leaves_are_there() -> None:
    found = leaves()
    assert len(found.leaves) == 47
    named = {each for leaf in found.leaves for each in leaf.systems} | set(found.beyond)
    assert len(named) >= 60
    assert count(every(found.leaves, runner=answered))["failed"] == 0


def test_a_check_runs_in_a_process_of_its_own() -> None:
    found = judged(leaves().leaf("C4"))
    assert found.state == "covered"
    assert found.figures["bits_a_weight"] == pytest.approx(1.6, abs=0.01)
    assert found.took_s > 0
    assert found.peak_bytes > 10 << 20


def test_limits_of_time_and_memory_end_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = leaves().leaf("C4")
    for job, said in ((Job(leaf.check, memory_bytes=40 << 20), ""), (Job(leaf.check, cpu_s=0), "ended early")):
        monkeypatch.setattr(judge, "Job", lambda check, job=job: job)
        found = judged(leaf)
        assert found.state == "failed"
        assert said in found.faults[0]


def test_a_quantiser_that_does_nothing_makes_four_bits_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    leaf = leaves().leaf("C1")
    assert judged(leaf, run).state == "covered"
    from shoal.llm.checkpoint import kept
    from shoal.llm.decoder import Product

    monkeypatch.setattr(kept, "coded", lambda matrix, bits: Product(matrix))
    found = judged(leaf, run)
    assert found.state == "failed"
    assert "bytes_share is 1" in found.faults[0]


def test_a_cache_that_does_not_round_or_choose_makes_its_leaves_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    from shoal.kv.policies.full import Whole
    from shoal.kv.policies.pages import Pages
    from shoal.kv.policies.quantised import Quantised

    found = leaves()
    assert judged(found.leaf("R1"), run).state == "partly"
    monkeypatch.setattr(Pages, "store", lambda self, layer: Whole())
    monkeypatch.setattr(Quantised, "store", lambda self, layer: Whole())
    assert "read_share is 1" in judged(found.leaf("R1"), run).faults[0]
    assert "written_share is 1" in judged(found.leaf("C5"), run).faults[0]


def test_what_does_not_import_or_give_figures_is_no_cover() -> None:
    leaf = leaves().leaf("C4")
    assert "no 'gone'" in judged(replace(leaf, capability="shoal.kernels.ready:gone")).faults[0]
    assert "cannot be imported" in judged(replace(leaf, capability="shoal.nothing:gone")).faults[0]
    assert "there is no check" in judged(replace(leaf, check="compression:gone"), run).faults[0]
    assert "does not tell other" in judged(replace(leaf, expects={"other": Bound(least=0)}), run).faults[0]
    assert not Bound(least=0).allows(float("nan"))


def test_the_map_is_shown_with_figures_date_and_host() -> None:
    found = leaves()
    shown = every(found.leaves, runner=answered)
    text = tree(found, shown)
    assert "✔ C1  Weights in few bits: bytes_share 0.35" in text
    assert "by a machine model" in text
    assert "measured on" in text
    told = as_json(found, shown)
    assert len(told["leaves"]) == len(found.leaves)
    assert told["host"]
    markup = page(found, shown)
    assert all(each.title.split("'")[0] in markup for each in found.leaves)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{LEAF}"missing"\nwhy = "w"\n' * 2, "'A1' stands twice"),
        (f'{LEAF}"covered"\n', "nothing shows it"),
        (f'{LEAF}"missing"\n', "does not say why"),
        (f'{LEAF}"missing"\nwhy = "w"\ncheck = "a:b"\n', "has a check"),
        (f'{LEAF}"good"\n', "not a taxonomy"),
        ((f'{LEAF}"missing"\nwhy = "w"\n').replace('parent = "A"', 'parent = "B"'), "which is no branch"),
        ((f'{LEAF}"missing"\nwhy = "w"\n').replace('parent = "A"', 'parent = ""'), "hangs on no branch"),
    ],
)
def test_a_taxonomy_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(HEAD + text)
    with pytest.raises(InputError, match=said):
        leaves(path)


def test_parents_that_go_round(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    round_ = 'branches = [{ id = "A", title = "", parent = "B" }, { id = "B", title = "", parent = "A" }]\n'
    path.write_text(f'title = ""\nsource = ""\n{round_}leaves = []\n')
    with pytest.raises(InputError, match="go round"):
        leaves(path)


def test_cases_are_recalled_and_held_against_a_fleet() -> None:
    from shoal import fleet

    where = fleet.loads(
        '[devices.small]\nboard = "raspberry-pi-zero-2w"\n[devices.large]\nboard = "raspberry-pi-5-8gb"\n'
    )
    by = {each.name: each for each in cases()}
    assert all("not run here" in each.source for each in by.values())
    assert by["Gemini Nano-2"].fits(where) == ("large",)
    assert by["MobileLLM-125M"].fits(where) == ("small", "large")

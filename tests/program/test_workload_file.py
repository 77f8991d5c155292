"""Workloads as people write them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, UnitError
from shoal.program import Item, Workload
from shoal.program.workload_file import load_workload, rate_of


def written(tmp_path: Path, text: str, name: str = "workload.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "per_s"), [("20/s", 20.0), ("20 items/s", 20.0), ("1 item/s", 1.0), ("3/min", 0.05), ("0.5 /s", 0.5)]
)
def test_rates(text: str, per_s: float) -> None:
    assert rate_of(text) == pytest.approx(per_s)


@pytest.mark.parametrize("text", ["0/s", "-3/s", "20", "20 s", "20 Hz", "fast", "", 20, "inf/s", "1e400/s"])
def test_no_rates(text: object) -> None:
    with pytest.raises(UnitError) as caught:
        rate_of(text)
    assert "20 items/s" in (caught.value.hint or "")
    assert caught.value.had == repr(text)


def test_a_rate(tmp_path: Path) -> None:
    path = written(tmp_path, 'items = 200\nrate = "20/s"\npoisson = true\nseed = 3\nwindow = 6')
    wanted = Workload(200, "rate", window=6, rate_items_per_s=20.0, poisson=True, seed=3)
    assert load_workload(path) == wanted
    assert load_workload(path, items=5, window=9).items == 5
    assert load_workload(path, window=9).window == 6  # it stands in for what the file does not say


def test_times_and_kinds_of_items_in_json(tmp_path: Path) -> None:
    table = {
        "times": ["0 s", "10 ms", "1 s"],
        "pattern": [{"label": "quick", "deadline": "50 ms"}, {"session": 2, "bindings": {"tokens": 8}}],
    }
    found = load_workload(written(tmp_path, json.dumps(table), "w.json"), window=3)
    assert (found.items, found.arrival, found.window, found.times_s) == (3, "trace", 3, (0.0, 0.01, 1.0))
    assert found.pattern == (Item(label="quick", deadline_s=0.05), Item(session=2, bindings={"tokens": 8}))


def test_nothing_said_is_a_closed_window(tmp_path: Path) -> None:
    assert load_workload(written(tmp_path, "")) == Workload(32)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('rate = "0/s"', "rate"),
        ("rate = 20", "without its unit"),
        ('rat = "20/s"', "'rate'"),
        ('rate = "20/s"\ntimes = ["1 s"]', "both"),
        ("poisson = true", "need a rate"),
        ('times = ["1 s", "0 s"]', "never go back"),
        ('items = 3\ntimes = ["1 s"]', "one time per item"),
        ("items = 0\n", "at least one item"),
        ("items = -1", "at least one item"),
        ("items = true", "int"),
        ('window = "4"', "int"),
        ("pattern = [3]", "pattern.0"),
        ('pattern = [{ entri = "main" }]', "pattern.0.entri"),
        ('pattern = [{ bindings = { tokens = "8" } }]', "pattern.0.bindings.tokens"),
        ('pattern = [{ deadline = "0 s" }]', "out of range"),
        ("items = ", "not a workload"),
    ],
)
def test_faults(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises((InputError, UnitError)) as caught:
        load_workload(path)
    fault = caught.value
    assert str(path) in (fault.where or "")
    assert said in " ".join(filter(None, (fault.what, fault.where, fault.needed, fault.had, fault.hint)))


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", written(tmp_path, "[]", "list.json"), tmp_path):
        with pytest.raises(InputError):
            load_workload(path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError):
        load_workload(tmp_path / "binary.toml")


@given(st.text(max_size=20))
def test_any_text_is_a_rate_or_refused(text: str) -> None:
    with suppress(UnitError):
        assert rate_of(text) > 0

"""Workload files."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.program import Workload
from shoal.program.workload_file import load_workload
from tests.fuzz.mutations import fuzzed, mutated_json, mutated_toml, survives

RATE = tomllib.loads("""
items = 20
window = 2
rate = "20/s"
poisson = true
seed = 7
[[pattern]]
entry = "main"
session = 1
bindings = { tokens = 12 }
deadline = "50 ms"
label = "short"
[[pattern]]
""")
TRACE: dict[str, Any] = {"times": ["0 s", "10 ms", "0.5 s"], "pattern": [{"session": 3}]}


def _known(workload: Workload | None) -> None:
    if workload is not None:
        assert workload.items >= 1
        assert len(workload.item(0).entry) >= 0


@given(mutated_toml(RATE) | mutated_toml(TRACE))
@fuzzed(150)
def test_a_toml_workload_is_refused_in_words_or_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "workload.toml"
    path.write_bytes(data)
    _known(survives(lambda: load_workload(path), "workload.toml"))


@given(mutated_json(RATE) | mutated_json(TRACE), st.sampled_from((None, 5)))
@fuzzed(150)
def test_a_json_workload_is_refused_in_words_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, items: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "workload.json"
    path.write_bytes(data)
    workload = survives(lambda: load_workload(path, items), "workload.json")
    _known(workload)
    if workload is not None:
        json.dumps(workload.seed)

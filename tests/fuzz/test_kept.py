"""What shoal keeps for itself: cache entries, samples of measurements, results of studies, links among processes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shoal import cache, catalog, codec
from shoal.measure import Table, load_table
from shoal.program import Hop
from shoal.record import Sample
from shoal.study import kept, print_study, summary, write_page
from shoal.study._keep import own_path, shipped_path
from shoal.wire import write_links
from shoal.wire.shaping import read_links
from tests.fuzz.mutations import fuzzed, mutated_json, survives

MANIFEST = {"files": {"file": {"sha256": "0" * 64, "bytes": 7, "modified_ns": 12}}}
SAMPLES = json.loads(codec.encode(Table((
    Sample("op:abc:conv1", "here", "onnxruntime", "float32", 1, 0.1, 0.09, 0.12, 15, 4096, 8192),
    Sample("bench:gemm", "here", "numpy", "float32", 2, 0.2, 0.1, 0.3, 3),
))))  # fmt: skip


def _build(place: Path) -> None:
    (place / "file").write_bytes(b"content")


@given(mutated_json(MANIFEST))
@fuzzed(150)
def test_a_damaged_cache_entry_is_built_again(data: bytes) -> None:
    place = cache.entry("fuzz", "key", _build)
    (place / "manifest.json").write_bytes(data)
    survives(lambda: cache.digests(place), "manifest.json")
    again = survives(lambda: cache.entry("fuzz", "key", _build))
    assert again is not None
    assert (again / "file").read_bytes() == b"content"


@given(mutated_json(SAMPLES))
@fuzzed(120)
def test_samples_are_refused_in_words_or_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "samples.json"
    path.write_bytes(data)
    table = survives(lambda: load_table(path), "samples.json")
    if table is not None:
        assert len(table.merge(table.samples).samples) <= len(table.samples)


@given(st.data())
@fuzzed(15)
def test_a_result_of_a_study_is_left_out_or_shown(data: st.DataObject) -> None:
    name = "dype"
    result = json.loads(shipped_path(name).read_bytes())
    result["made"]["started_at"] = "2999-01-01T00:00:00+00:00"  # newer than what ships
    path = own_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.draw(mutated_json(result)))
    found = survives(lambda: kept(name))
    assert found is not None  # what ships hides behind no damaged file
    survives(lambda: _shown(name, found))


def _shown(name: str, result: object) -> None:
    entry = (name, catalog.make("study", name), result)
    write_page([entry], own_path(name).with_suffix(".html"))
    codec.encode(summary(*entry))
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        print_study(entry, Console(file=nowhere))


@given(st.data())
@fuzzed(80)
def test_links_are_refused_in_words_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = write_links({"seen": (Hop("radio", 1e6, 0.01), Hop("wire", 1e8, 0.0))}, folder)
    path.write_bytes(data.draw(mutated_json(json.loads(path.read_text()))))
    links = survives(lambda: read_links(path), str(path))
    assert links is None or len(links.media) >= 0
    assert dataclasses.is_dataclass(links) or links is None

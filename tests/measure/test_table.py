"""Samples kept and found again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shoal.errors import InputError
from shoal.measure import Table, bench_path, bench_rate, bench_subject, load_table, segment_subject, table_path
from shoal.record import Sample

ONE = Sample("op:m:a", "here", "onnxruntime", "float32", 1, 2.0, 1.0, 3.0, 5)
OTHERS = (
    dataclasses.replace(ONE, threads=2),
    dataclasses.replace(ONE, engine="ncnn"),
    dataclasses.replace(ONE, machine="there"),
    dataclasses.replace(ONE, subject="op:m:b", resident_bytes=7, peak_bytes=9),
)


def test_what_is_saved_is_found_again_with_what_was_there(cache_folder: Path) -> None:
    path = table_path("m")
    assert path.is_relative_to(cache_folder)
    assert path != bench_path()
    assert load_table(path) == Table()
    Table((ONE,)).save(path)
    Table(OTHERS).save(path)
    assert set(load_table(path).samples) == {ONE, *OTHERS}


def test_a_newer_sample_takes_the_place_of_the_older() -> None:
    newer = dataclasses.replace(ONE, median_s=9.0)
    assert Table((ONE, *OTHERS)).merge([newer]).find("op:m:a", "onnxruntime", "float32", 1) == newer


def test_only_one_machines_samples_compare() -> None:
    table = Table((ONE, *OTHERS))
    assert table.of("there").samples == (OTHERS[2],)
    assert table.find("op:m:c", "onnxruntime", "float32", 1) is None


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"samples": 3}')
    with pytest.raises(InputError, match=r"t\.json"):
        load_table(tmp_path / "t.json")


def test_a_segment_is_its_ops_whatever_their_order() -> None:
    assert segment_subject("m", ("a", "b")) == segment_subject("m", ("b", "a")) != segment_subject("n", ("a", "b"))


def test_a_bench_tells_its_rate() -> None:
    assert bench_rate(dataclasses.replace(ONE, subject=bench_subject("gemm", 100))) == 100.0
    with pytest.raises(InputError, match="not the sample of a bench"):
        bench_rate(ONE)

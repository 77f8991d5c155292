"""A segment measured in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal import catalog
from shoal.errors import WorkError
from shoal.measure import profile_segment, segment_subject
from shoal.program import Program, Segment
from tests.engines.segments import big_gemm


@pytest.fixture
def made(tmp_path: Path) -> tuple[Program, Segment]:
    case = big_gemm()
    segment = case.segment(case.save(tmp_path), "onnxruntime")
    program = case.program()
    return Program("test", program.units, (), (segment,), (), 1, program.tensors), segment


def test_time_and_memory_are_the_segments_own(made: tuple[Program, Segment], tmp_path: Path) -> None:
    program, segment = made
    sample = profile_segment(program, segment, tmp_path, model="m", repeats=5)
    assert sample.subject == segment_subject("m", segment.ops)
    assert 0 < sample.low_s <= sample.median_s <= sample.high_s
    assert sample.resident_bytes is not None
    assert sample.peak_bytes is not None
    assert (4 << 20) * 0.9 < sample.resident_bytes < 64 << 20  # its weights are 4 MiB
    assert sample.peak_bytes < 128 << 20


def test_why_it_cannot_run_is_said(made: tuple[Program, Segment], tmp_path: Path) -> None:
    (tmp_path / "s.onnx").write_bytes(b"nonsense")
    with pytest.raises(WorkError, match="onnxruntime refuses"):
        profile_segment(*made, tmp_path, model="m")


def test_an_unknown_engine_is_said(made: tuple[Program, Segment], tmp_path: Path) -> None:
    assert "warp" not in catalog.names("engines")
    with pytest.raises(WorkError, match="'warp'"):
        profile_segment(*made, tmp_path, model="m", engine="warp")

"""Files timed in a process of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import WorkError
from shoal.measure import Timed, Timing, cores_for, time_files
from tests.graph.models import floats, info, model, node, write


def chain(count: int, folder: Path, width: int = 256) -> Path:
    weights = {f"w{number}": floats(width, width, seed=number) / width for number in range(count)}
    nodes = [
        node("MatMul", f"{f'y{number - 1}' if number else 'x'} w{number}", f"y{number}") for number in range(count)
    ]
    return write(model(nodes, [info("x", (64, width))], [f"y{count - 1}"], weights), folder, f"chain{count}.onnx")


def test_more_work_takes_longer(tmp_path: Path) -> None:
    files = tuple(Timed(str(chain(count, tmp_path))) for count in (1, 8))
    found = time_files(Timing(files, cores=cores_for(1), repeats=10))
    one, eight = found.spreads
    assert found.faults == ("", "")
    assert 3 * one.median_s < eight.median_s
    assert one.low_s <= one.median_s <= one.high_s
    assert 3 <= one.repeats <= 10


def test_rounds_take_every_file_in_turn(tmp_path: Path) -> None:
    files = tuple(Timed(str(chain(count, tmp_path))) for count in (1, 2))
    found = time_files(Timing(files, repeats=3, rounds=3))
    assert [each.repeats for each in found.spreads] == [9, 9]


def test_inputs_may_be_given(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((64, 256), np.float32))
    (found,) = time_files(
        Timing((Timed(str(chain(1, tmp_path)), feeds=str(tmp_path / "x.npz")),), repeats=3)
    ).spreads
    assert found.repeats == 3


def test_nodes_that_do_not_count(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "t w", "y")]
    path = write(model(nodes, [info("x", (512, 512))], ["y"], {"w": floats(512, 8)}), tmp_path)
    whole, part = time_files(Timing((Timed(str(path)), Timed(str(path), ("Transpose", "MatMul", "Gemm", "FusedMatMul"))),
                                    repeats=5)).spreads  # fmt: skip
    assert whole.median_s > 0
    assert part.median_s < 0.5 * whole.median_s


def test_a_file_that_cannot_be_run_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    files = (Timed(str(tmp_path / "broken.onnx")), Timed(str(chain(1, tmp_path))))
    found = time_files(Timing(files, repeats=3))
    assert found.spreads[0].repeats == 0
    assert found.faults[0] != ""
    assert (found.spreads[1].repeats, found.faults[1]) == (3, "")


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="ended early"):
        time_files(Timing((Timed(str(chain(1, tmp_path))),), cores=(9999,)))

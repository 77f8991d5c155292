"""What every exact engine promises, run over small segments and compared with ONNX's reference in numpy."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from shoal import catalog
from shoal.engines import Session
from shoal.errors import ModelError
from tests.engines.segments import FLOAT_CASES, Case, big_gemm, branches, conv_relu_pool, passes_through

EXACT = ("reference", "onnxruntime")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))


def load(case: Case, engine: str, folder: Path, threads: int = 1) -> Session:
    files = case.save(folder)
    return catalog.make("engines", engine).load(case.program(), case.segment(files, engine), folder, threads)


def expected(case: Case, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    values = ReferenceEvaluator(case.model()).run(list(case.outputs), dict(feeds))
    return dict(zip(case.outputs, values, strict=True))


def assert_close(got: Mapping[str, NDArray[Any]], wanted: Mapping[str, NDArray[Any]]) -> None:
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        assert got[name].dtype == value.dtype
        assert got[name].flags.c_contiguous
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-4 * np.abs(value).max())


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("case", [*FLOAT_CASES, passes_through(), big_gemm()], ids=lambda case: case.name)
def test_answers_like_the_reference(case: Case, engine: str, tmp_path: Path) -> None:
    session = load(case, engine, tmp_path)
    for seed in range(2):
        feeds = case.feeds(seed)
        assert_close(session.run(feeds, {}), expected(case, feeds))


@pytest.mark.parametrize("engine", [*EXACT, "null"])
def test_writes_into_given_memory(engine: str, tmp_path: Path) -> None:
    case = branches()
    session = load(case, engine, tmp_path)
    into = {name: np.full(case.outputs[name], np.nan, np.float32) for name in ("p", "s")}
    got = session.run(case.feeds(), into)
    assert got["p"] is into["p"]
    assert got["s"] is into["s"]
    assert got["r"].shape == case.outputs["r"]
    if engine != "null":
        assert_close(got, expected(case, case.feeds()))


@pytest.mark.parametrize("engine", EXACT)
def test_reads_read_only_inputs_and_leaves_them(engine: str, tmp_path: Path) -> None:
    case = passes_through()
    session = load(case, engine, tmp_path)
    feeds = case.feeds()
    kept = {name: array.copy() for name, array in feeds.items()}
    for array in feeds.values():
        array.flags.writeable = False
    got = session.run(feeds, {})
    got["same"][...] = 7
    got["flat"][...] = 7
    for name, array in feeds.items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("engine", EXACT)
def test_runs_again_with_the_same_answer(engine: str, tmp_path: Path) -> None:
    """Also when earlier results are kept, and given memory alternates as in a ring."""
    case = conv_relu_pool()
    session = load(case, engine, tmp_path)
    (output,) = case.outputs
    slots = [np.zeros(case.outputs[output], np.float32) for _ in range(3)]
    first = session.run(case.feeds(), {})[output]
    kept = first.copy()
    for index in range(100):
        session.run(case.feeds(index % 5), {output: slots[index % 3]} if index % 2 else {})
    again = session.run(case.feeds(), {output: slots[0]})[output]
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(again, kept)


@pytest.mark.parametrize("engine", EXACT)
def test_two_threads(engine: str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    assert_close(load(case, engine, tmp_path, 2).run(case.feeds(), {}), expected(case, case.feeds()))


@pytest.mark.parametrize("engine", EXACT)
def test_names_a_missing_file(engine: str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    segment = case.segment(("gone.onnx",), engine)
    with pytest.raises(ModelError, match=rf"segment 's' \({engine}\).*gone\.onnx.*missing"):
        catalog.make("engines", engine).load(case.program(), segment, tmp_path, 1)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("damage", [b"", b"not a model", "cut", "unknown op"])
def test_names_a_damaged_file(engine: str, damage: bytes | str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    files = case.save(tmp_path)
    path = tmp_path / files[0]
    data = path.read_bytes()
    changed = {"cut": data[: len(data) // 2], "unknown op": data.replace(b"MaxPool", b"MaxPuul")}
    path.write_bytes(damage if isinstance(damage, bytes) else changed[damage])
    with pytest.raises(ModelError, match=rf"segment 's' \({engine}\)"):
        catalog.make("engines", engine).load(case.program(), case.segment(files, engine), tmp_path, 1)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("case", [conv_relu_pool(), big_gemm()], ids=lambda case: case.name)
def test_names_damaged_weights(engine: str, case: Case, tmp_path: Path) -> None:
    files = case.save(tmp_path)
    assert len(files) == 2
    with (tmp_path / files[1]).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=rf"segment 's' \({engine}\)"):
        catalog.make("engines", engine).load(case.program(), case.segment(files, engine), tmp_path, 1)


@pytest.mark.parametrize("engine", catalog.names("engines"))
def test_imports_without_its_library(engine: str) -> None:
    """A technique is found, and its options are read, where the library it runs on is not installed."""
    found = catalog.find("engines", engine)
    assert importlib.util.find_spec(found.__module__) is not None
    assert catalog.build(found, engine, {}) == found()

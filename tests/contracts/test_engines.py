"""What every exact engine promises, run over small segments and compared with ONNX's reference in numpy."""

from __future__ import annotations

import importlib.util
import re
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
from shoal.graph import load as load_graph
from tests.engines.segments import (
    FLOAT_CASES,
    Case,
    big_gemm,
    branches,
    conv_relu_pool,
    passes_through,
    works_in_place,
)

LIBRARIES = {"ncnn": ("ncnn", "pnnx")}
EXACT = tuple(
    pytest.param(
        engine,
        marks=pytest.mark.skipif(
            not all(map(importlib.util.find_spec, LIBRARIES.get(engine, ()))), reason=f"{engine} is not installed"
        ),
    )
    for engine in ("reference", "onnxruntime", "native", "ncnn")
)
TYPED = ("reference", "onnxruntime")  # engines that also take other types than float32


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for the whole run: conversions are made once."""
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def write(case: Case, engine: str, folder: Path) -> tuple[str, ...]:
    """The files of the case in the engine's form, by the way a plan takes."""
    case.save(folder / "model")
    graph = load_graph(folder / "model" / "s.onnx")
    return catalog.make("engines", engine).write(graph, [op.name for op in graph.ops], folder, "s")


def load(case: Case, engine: str, folder: Path, threads: int = 1) -> Session:
    return load_files(case, engine, folder, write(case, engine, folder), threads)


def load_files(case: Case, engine: str, folder: Path, files: tuple[str, ...], threads: int = 1) -> Session:
    segment = case.segment(files, engine)
    return catalog.make("engines", engine).load(case.program(), segment, folder, threads)


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
@pytest.mark.parametrize("case", [*FLOAT_CASES, big_gemm()], ids=lambda case: case.name)
def test_answers_like_the_reference(case: Case, engine: str, tmp_path: Path) -> None:
    session = load(case, engine, tmp_path)
    for seed in range(2):
        feeds = case.feeds(seed)
        assert_close(session.run(feeds, {}), expected(case, feeds))


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("case", FLOAT_CASES, ids=lambda case: case.name)
def test_writes_the_same_bytes_again(case: Case, engine: str, tmp_path: Path) -> None:
    files = write(case, engine, tmp_path / "one")
    assert write(case, engine, tmp_path / "two") == files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("engine", TYPED)
def test_takes_other_types_and_what_passes_through(engine: str, tmp_path: Path) -> None:
    case = passes_through()
    session = load_files(case, engine, tmp_path, case.save(tmp_path))
    assert_close(session.run(case.feeds(), {}), expected(case, case.feeds()))


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
    case = works_in_place()
    session = load(case, engine, tmp_path)
    feeds = case.feeds()
    kept = {name: array.copy() for name, array in feeds.items()}
    for array in feeds.values():
        array.flags.writeable = False
    got = session.run(feeds, {})
    assert_close(got, expected(case, kept))
    got["r"][...] = 7
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


@pytest.mark.parametrize("engine", TYPED)
def test_answers_do_not_alias_inputs(engine: str, tmp_path: Path) -> None:
    case = passes_through()
    session = load_files(case, engine, tmp_path, case.save(tmp_path))
    feeds = case.feeds()
    kept = feeds["x"].copy()
    got = session.run(feeds, {})
    got["same"][...] = 7
    got["flat"][...] = 7
    np.testing.assert_array_equal(feeds["x"], kept)


@pytest.mark.parametrize("engine", EXACT)
def test_names_a_missing_file(engine: str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    files = write(case, engine, tmp_path)
    for gone in files:
        kept = tmp_path / f"{gone}.kept"
        (tmp_path / gone).rename(kept)
        with pytest.raises(ModelError, match=rf"segment 's' \({engine}\).*{re.escape(gone)}.*missing"):
            load_files(case, engine, tmp_path, files)
        kept.rename(tmp_path / gone)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_names_a_damaged_file(engine: str, damage: str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    files = write(case, engine, tmp_path)
    for name in files:
        path = tmp_path / name
        whole = path.read_bytes()
        _replace(path, {"empty": b"", "text": b"not a model", "cut": whole[: len(whole) // 2]}[damage])
        with pytest.raises(ModelError, match=rf"segment 's' \({engine}\)"):
            load_files(case, engine, tmp_path, files)
        _replace(path, whole)
    assert load_files(case, engine, tmp_path, files)


@pytest.mark.parametrize("engine", TYPED)
def test_names_an_unknown_op(engine: str, tmp_path: Path) -> None:
    case = conv_relu_pool()
    files = write(case, engine, tmp_path)
    path = tmp_path / files[0]
    _replace(path, path.read_bytes().replace(b"MaxPool", b"MaxPuul"))
    with pytest.raises(ModelError, match=rf"segment 's' \({engine}\).*MaxPuul"):
        load_files(case, engine, tmp_path, files)


def _replace(path: Path, content: bytes) -> None:
    path.unlink()  # it may be linked with the cache's own
    path.write_bytes(content)


@pytest.mark.parametrize("engine", EXACT)
def test_names_large_weights_cut_short(engine: str, tmp_path: Path) -> None:
    case = big_gemm()
    files = write(case, engine, tmp_path)
    path = max((tmp_path / name for name in files), key=lambda file: file.stat().st_size)
    _replace(path, path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=rf"segment 's' \({engine}\)"):
        load_files(case, engine, tmp_path, files)


@pytest.mark.parametrize("engine", catalog.names("engines"))
def test_imports_without_its_library(engine: str) -> None:
    """A technique is found, and its options are read, where the library it runs on is not installed."""
    found = catalog.find("engines", engine)
    assert importlib.util.find_spec(found.__module__) is not None
    assert catalog.build(found, engine, {}) == found()

"""The onnxruntime engine: its cache on the device, open shapes, and input that does not fit."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from shoal import cache, codec
from shoal.engines import _optimise, onnxruntime
from shoal.engines.onnxruntime import Onnxruntime
from shoal.errors import InputError, ModelError
from shoal.program import Program, Segment, TensorSpec
from shoal.program.bundle import MANIFEST_FILE, FileMark, Manifest
from tests.engines.segments import FLOAT_CASES, Case, big_gemm, case, conv_relu_pool


def answer(model: Case, folder: Path) -> np.ndarray:
    files = tuple(path.name for path in sorted(folder.iterdir()) if path.stem == "s")
    session = Onnxruntime().load(model.program(), model.segment(files, "onnxruntime"), folder, 1)
    return session.run(model.feeds(), {})["y"]


def entries(cache_folder: Path) -> list[Path]:
    return [path for path in (cache_folder / "segments").iterdir() if not path.name.startswith(".")]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    big_gemm().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_the_second_start_uses_what_the_first_prepared(
    bundle: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = answer(big_gemm(), bundle)
    assert len(entries(cache_folder)) == 1
    monkeypatch.setattr(onnxruntime, "_optimise", None)  # would fail if it were asked again
    np.testing.assert_array_equal(answer(big_gemm(), bundle), first)


def test_another_content_is_another_entry(bundle: Path, cache_folder: Path) -> None:
    answer(big_gemm(), bundle)
    weights = bundle / "s.weights"
    weights.write_bytes(bytes(len(weights.read_bytes())))
    assert not answer(big_gemm(), bundle).any()
    assert len(entries(cache_folder)) == 2


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("segment.onnx", "changed"),
        ("segment.onnx.weights", "cut"),
        ("segment.onnx.weights", "gone"),
        ("segment.onnx.json", "changed"),
        ("manifest.json", "cut"),
    ],
)
def test_a_damaged_entry_is_built_again(bundle: Path, cache_folder: Path, name: str, damage: str) -> None:
    first = answer(big_gemm(), bundle)
    (entry,) = entries(cache_folder)
    path = entry / name
    whole, digests = path.read_bytes(), cache.digests(entry)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else bytes([whole[0] ^ 255]) + whole[1:])
    np.testing.assert_array_equal(answer(big_gemm(), bundle), first)
    assert cache.digests(entry) == digests
    assert name == cache.MANIFEST or path.read_bytes() == whole
    assert entries(cache_folder) == [entry]


def test_a_bundle_names_its_content_and_is_believed_once_it_was_checked(bundle: Path, cache_folder: Path) -> None:
    def mark(name: str) -> FileMark:
        path = bundle / name
        return FileMark(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)

    marks = {name: mark(name) for name in ("s.onnx", "s.weights")}
    codec.save(Manifest("a/cpu", "", 1, marks), bundle / MANIFEST_FILE)
    first = answer(big_gemm(), bundle)
    assert len(entries(cache_folder)) == 1

    wrong = {**marks, "s.weights": FileMark("0" * 64, marks["s.weights"].bytes)}
    codec.save(Manifest("a/cpu", "", 1, wrong), bundle / MANIFEST_FILE)
    with pytest.raises(ModelError, match=r"s\.weights' is not the one the manifest names"):
        answer(big_gemm(), bundle)

    (bundle / MANIFEST_FILE).unlink()  # found by content too
    np.testing.assert_array_equal(answer(big_gemm(), bundle), first)
    assert len(entries(cache_folder)) == 1


def test_two_processes_start_at_once(bundle: Path, cache_folder: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from tests.engines.segments import big_gemm
        from shoal.engines.onnxruntime import Onnxruntime
        case, folder = big_gemm(), Path(sys.argv[1])
        segment = case.segment(("s.onnx", "s.weights"), "onnxruntime")
        session = Onnxruntime().load(case.program(), segment, folder, 1)
        print(float(session.run(case.feeds(), {})["y"].sum()))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(bundle)]
    root = Path(__file__).parents[2]
    both = [
        subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate() for process in both]
    assert [error for _, error in answers] == ["", ""]
    assert answers[0][0] == answers[1][0]
    assert len(entries(cache_folder)) == 1
    assert not list((cache_folder / "segments").glob(".*.*/")), "nothing half-built stays behind"


def test_small_segments_need_no_cache(tmp_path: Path, cache_folder: Path) -> None:
    model = conv_relu_pool()
    files = model.save(tmp_path)
    Onnxruntime().load(model.program(), model.segment(files, "onnxruntime"), tmp_path, 1)
    assert not cache_folder.exists()


@pytest.mark.parametrize("model", FLOAT_CASES, ids=lambda model: model.name)
def test_prepared_segments_answer_bit_by_bit_like_unprepared_ones(model: Case, tmp_path: Path) -> None:
    segment = model.segment(model.save(tmp_path), "onnxruntime")
    prepared, direct = (
        Onnxruntime(cache_from_bytes=size).load(model.program(), segment, tmp_path, 1) for size in (0, 1 << 30)
    )
    got, wanted = (session.run(model.feeds(), {}) for session in (prepared, direct))
    for name in model.outputs:
        np.testing.assert_array_equal(got[name], wanted[name])


def test_a_cache_that_cannot_be_written_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot") as caught:
        answer(big_gemm(), bundle)
    assert caught.value.where is not None
    assert str(tmp_path / "file") in caught.value.where


def test_an_op_without_kernel_is_named_in_the_cached_path_too(bundle: Path) -> None:
    model = onnx.load(bundle / "s.onnx", load_external_data=False)
    model.graph.node[0].op_type = "Gemmm"
    (bundle / "s.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"segment 's' \(onnxruntime\).*Gemmm"):
        answer(big_gemm(), bundle)


def test_sizes_named_in_the_program_stay_open(tmp_path: Path) -> None:
    node = helper.make_node("Concat", ["x", "x"], ["y"], axis=1)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("x", 1, [1, "n"])], [value("y", 1, [1, "m"])]
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "s.onnx").write_bytes(model.SerializeToString())
    tensors = {"x": TensorSpec("float32", (1, "n")), "y": TensorSpec("float32", (1, "2*n"))}
    program = Program("p", ("a/cpu",), (), (), (), 1, tensors, sizes={"n": 8})
    segment = Segment("s", "a/cpu", ("x",), ("y",), files=("s.onnx",))
    session = Onnxruntime().load(program, segment, tmp_path, 1)
    for tokens in (2, 5):
        into = {"y": np.zeros((1, 2 * tokens), np.float32)}
        got = session.run({"x": np.ones((1, tokens), np.float32)}, into)
        assert got["y"] is into["y"]
        assert got["y"].all()
    assert session.run({"x": np.ones((1, 3), np.float32)}, {"y": into["y"]})["y"].shape == (1, 6)


@pytest.mark.parametrize("wrong", [np.zeros((1, 3, 8, 9), np.float32), np.zeros((1, 3, 8, 10))])
def test_an_input_that_does_not_fit_is_named(wrong: np.ndarray, tmp_path: Path) -> None:
    model = conv_relu_pool()
    segment = model.segment(model.save(tmp_path), "onnxruntime")
    session = Onnxruntime().load(model.program(), segment, tmp_path, 1)
    with pytest.raises(ModelError, match=r"input 'x' does not fit.*float32\[1, 3, 8, 10\]"):
        session.run({"x": wrong}, {})


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    model = conv_relu_pool()
    files = model.save(tmp_path)
    other = case("other", (), {"x": (1, 3, 8, 10)}, {"z": (1,)})
    with pytest.raises(ModelError, match="disagree about z"):
        Onnxruntime().load(other.program(), other.segment(files, "onnxruntime"), tmp_path, 1)


@pytest.mark.parametrize(
    ("kind", "rows", "helps"),
    [("Gemm", 1, False), ("MatMul", 1, False), ("Gemm", 4, True), ("MatMul", 9, True)],
)
def test_weights_are_packed_only_where_rows_are_many(kind: str, rows: int, helps: bool) -> None:
    node = helper.make_node(kind, ["x", "w"], ["y"])
    model = case("g", [node], {"x": (rows, 64)}, {"y": (rows, 64)}, {"w": (64, 64)}).model()
    assert _optimise.packing_helps(model) is helps

"""The engine ncnn: what it converts, what it refuses and how it says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from shoal import graph
from shoal.engines import _pnnx
from shoal.engines.ncnn import Ncnn
from shoal.errors import MissingExtra, ModelError
from tests.engines.segments import Case, branches, case, conv_relu_pool, passes_through

pytest.importorskip("ncnn")
if importlib.util.find_spec("pnnx") is None:
    pytest.skip("pnnx is not installed", allow_module_level=True)


def write(model: Case, folder: Path) -> tuple[str, ...]:
    model.save(folder / "model")
    loaded = graph.load(folder / "model" / "s.onnx")
    return Ncnn().write(loaded, [op.name for op in loaded.ops], folder, "s")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (case("op", [helper.make_node("Softsign", ["x"], ["y"])], {"x": (1, 4, 8)}, {"y": (1, 4, 8)}),
         "no form for Softsign$"),
        (case("batch", [helper.make_node("Conv", ["x", "w"], ["y"])], {"x": (2, 3, 5, 5)},
              {"y": (2, 4, 3, 3)}, {"w": (4, 3, 3, 3)}),
         r"no form for a batch in 'x' \(needed 1, had 2\)"),
        (case("rank", [helper.make_node("Relu", ["x"], ["y"])], {"x": (1,) * 6}, {"y": (1,) * 6}),
         "no form for tensor 'x'.*had 6"),
        (passes_through(), "no form for tensor 'whole'.*float32 of a fixed shape"),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)  # fmt: skip
def test_what_has_no_form_is_refused(model: Case, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"segment 's' \(ncnn\): ncnn has {says}"):
        write(model, tmp_path)
    assert not list((tmp_path / "cache" / "ncnn").glob("[!.]*"))


def test_another_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two outputs exchanged: right shapes, wrong values."""
    model = branches()
    exchange = _pnnx._batches

    def exchanged(script: str, layout: _pnnx.Layout, where: str) -> _pnnx.Layout:
        blobs = {blob.tensor: blob for blob in layout.outputs}
        swapped = (_named(blobs["r"], blobs["s"].name), _named(blobs["s"], blobs["r"].name), blobs["p"])
        return exchange(script, _pnnx.Layout(layout.inputs, swapped), where)

    monkeypatch.setattr(_pnnx, "_batches", exchanged)
    with pytest.raises(ModelError, match=r"ncnn answers differently in output '[rs]'"):
        write(model, tmp_path)


def _named(blob: _pnnx.Blob, name: str) -> _pnnx.Blob:
    return _pnnx.Blob(name, blob.tensor, blob.shape, blob.batched)


def test_a_conversion_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(conv_relu_pool(), tmp_path / "one")
    monkeypatch.setattr(_pnnx, "convert", None)  # would fail if it were asked again
    assert write(conv_relu_pool(), tmp_path / "two") == files
    assert files == ("s.ncnn.param", "s.ncnn.bin", "s.ncnn.json")


def test_weights_stay_float32(tmp_path: Path) -> None:
    files = write(conv_relu_pool(), tmp_path)
    assert (tmp_path / files[1]).stat().st_size >= 4 * 16 * 3 * 3 * 3


def test_the_converter_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pnnx is not installed") as caught:
        write(conv_relu_pool(), tmp_path)
    assert caught.value.hint == "pip install --no-deps pnnx"


def test_an_input_that_does_not_fit_is_named(tmp_path: Path) -> None:
    model = conv_relu_pool()
    session = Ncnn().load(model.program(), model.segment(write(model, tmp_path), "ncnn"), tmp_path, 1)
    with pytest.raises(ModelError, match=r"input 'x' does not fit.*float32\[1, 3, 8, 10\]"):
        session.run({"x": np.zeros((1, 3, 10, 8), np.float32)}, {})


def test_a_converter_that_does_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "pnnx"
    tool.write_bytes(b"made for another machine")
    tool.chmod(0o755)
    monkeypatch.setattr(_pnnx, "executable", lambda: tool)
    with pytest.raises(ModelError, match="the converter pnnx does not start: Exec format error"):
        write(conv_relu_pool(), tmp_path)

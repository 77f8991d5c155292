"""From ONNX to ncnn with pnnx, the converter's own executable; what it makes is compared before it is used."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shoal import codec
from shoal.errors import MissingExtra, ModelError
from shoal.program import Program, Segment, TensorSpec

if TYPE_CHECKING:
    import onnx_ir as ir

PARAM, BIN, LAYOUT = "segment.param", "segment.bin", "segment.json"
MAX_BYTES = (2 << 30) - (64 << 20)  # pnnx reads one protobuf message
MAX_RANK = 5  # batch and four more
TOLERANCE = 1e-4  # of the largest reference magnitude


@dataclass(frozen=True)
class Blob:
    """One of ncnn's values: its name, the tensor it holds, and whether its leading 1 is dropped."""

    name: str
    tensor: str
    shape: tuple[int, ...]
    batched: bool = False


@dataclass(frozen=True)
class Layout:
    """What a converted segment reads and makes, and what its files must be."""

    inputs: tuple[Blob, ...]
    outputs: tuple[Blob, ...]
    param_sha256: str = ""
    bin_bytes: int = 0


@dataclass(frozen=True)
class Verdict:
    """The output that differs most, by how much of the reference's largest magnitude."""

    output: str
    difference: float


def executable() -> Path:
    """The converter inside the package pnnx, found without importing it: its Python side needs torch.

    Raises:
        MissingExtra: it is not installed.
    """
    found = importlib.util.find_spec("pnnx")
    places = (found.submodule_search_locations if found else None) or []
    for place in places:
        for name in ("pnnx", "pnnx.exe"):
            if os.access(Path(place) / name, os.X_OK):
                return Path(place) / name
    missing = MissingExtra("pnnx", "ncnn")
    missing.hint = "pip install --no-deps pnnx"
    raise missing


def form(model: ir.Model, where: str) -> Layout:
    """The blobs a segment would have.

    Raises:
        ModelError: ncnn has no form for a type, a rank or an open shape.
    """
    import onnx_ir as ir

    for value in (*model.graph.inputs, *model.graph.outputs):
        shape = value.shape
        if value.dtype != ir.DataType.FLOAT or shape is None or not shape.is_static():
            raise ModelError(f"ncnn has no form for tensor '{value.name}'", where=where,
                             needed="float32 of a fixed shape", had=f"{value.dtype}{shape}")  # fmt: skip
        if not 1 <= len(shape) <= MAX_RANK:
            raise ModelError(f"ncnn has no form for tensor '{value.name}'", where=where,
                             needed=f"1 to {MAX_RANK} dimensions", had=str(len(shape)))  # fmt: skip
    held = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if held > MAX_BYTES:
        raise ModelError("it is too large to convert", where=where, needed=f"{MAX_BYTES} B", had=f"{held} B")
    return Layout(_blobs("in", model.graph.inputs), _blobs("out", model.graph.outputs))


def convert(tool: Path, source: Path, target: Path, layout: Layout, where: str) -> None:
    """Fill the folder `target` with the converted form of `source`, which pnnx also clutters with its own files.

    Raises:
        ModelError: no form for an op, or the answers differ.
    """
    shapes = ",".join(f"[{','.join(map(str, blob.shape))}]f32" for blob in layout.inputs)
    command = [str(tool), source.name, "fp16=0", f"inputshape={shapes}"]
    try:
        done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    except OSError as fault:  # made for another kind of machine
        raise ModelError(f"the converter pnnx does not start: {fault.strerror}", where=where) from fault
    param, weights = source.with_suffix(".ncnn.param"), source.with_suffix(".ncnn.bin")
    if done.returncode or not (param.exists() and weights.exists()):
        raise ModelError(f"ncnn has no form for it: {_last(done.stderr)}", where=where)
    _refuse_leftovers(param.read_text(), where)
    layout = _batches(source.with_name("segment_ncnn.py").read_text(), layout, where)
    digest = hashlib.sha256(param.read_bytes()).hexdigest()
    layout = replace(layout, param_sha256=digest, bin_bytes=weights.stat().st_size)
    shutil.move(param, target / PARAM)
    shutil.move(weights, target / BIN)
    codec.save(layout, target / LAYOUT)
    _compare(source, target, layout, where)


def _blobs(prefix: str, values: Iterable[ir.Value]) -> tuple[Blob, ...]:
    return tuple(
        Blob(f"{prefix}{index}", str(value.name), value.shape.numpy() if value.shape else ())
        for index, value in enumerate(values)
    )


def _refuse_leftovers(param: str, where: str) -> None:
    """Layers with a dot or colons in their type ("pnnx.Expression") are ops the converter only copied."""
    kinds = {line.split()[0] for line in param.splitlines()[2:] if line.strip()}
    left = sorted(kind for kind in kinds if "." in kind or ":" in kind)
    if left:
        raise ModelError(f"ncnn has no form for {', '.join(left)}", where=where)


def _batches(script: str, layout: Layout, where: str) -> Layout:
    """Mark the inputs whose leading 1 ncnn drops, as the converter's own example script does."""
    found = dict(re.findall(r'ex\.input\("(in\d+)", .*batch_index=(\d+)\)', script))
    inputs = tuple(replace(blob, batched=found.get(blob.name) == "0") for blob in layout.inputs)
    for blob in inputs:
        if blob.batched and blob.shape[0] != 1:
            raise ModelError(f"ncnn has no form for a batch in '{blob.tensor}'", where=where,
                             needed="1", had=str(blob.shape[0]))  # fmt: skip
    return replace(layout, inputs=inputs)


def _compare(source: Path, target: Path, layout: Layout, where: str) -> None:
    """Run both forms on random inputs, in a process of their own: ncnn can crash on what it cannot do."""
    blobs = (*layout.inputs, *layout.outputs)
    tensors = {blob.tensor: TensorSpec("float32", blob.shape) for blob in blobs}
    inputs, outputs = (tuple(blob.tensor for blob in part) for part in (layout.inputs, layout.outputs))
    segment = Segment("check", "here/cpu", inputs, outputs, "ncnn", files=(PARAM, BIN, LAYOUT))
    task = source.with_name("check.json")
    codec.save(Program("check", ("here/cpu",), (), (segment,), (), 1, tensors), task)
    command = [sys.executable, "-m", "shoal.engines._agree", str(task), str(source), str(target)]
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        unknown = sorted(set(re.findall(r"layer (\S+) not exists", done.stderr)))
        what = ", ".join(unknown) or f"it: {_last(done.stderr)}"
        raise ModelError(f"ncnn has no form for {what}", where=where)
    verdict = codec.decode(Verdict, done.stdout.encode(), where)
    if not verdict.difference <= TOLERANCE:
        raise ModelError(f"ncnn answers differently in output '{verdict.output}'", where=where,
                         needed=f"{TOLERANCE:g} of the largest magnitude",
                         had=f"{verdict.difference:.2g}")  # fmt: skip


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"

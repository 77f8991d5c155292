"""The engine ncnn: quick on plain convolutions, float32, converted while planning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import cache, codec
from shoal.engines import _host, _onnx, _pnnx
from shoal.engines._pnnx import BIN, LAYOUT, PARAM, Layout
from shoal.engines.contract import Arrays
from shoal.errors import InputError, MissingExtra, ModelError
from shoal.program import Program, Segment

if TYPE_CHECKING:
    from shoal.graph import Graph

SPIN_MS = 20


@dataclass(frozen=True)
class Ncnn:
    """Takes float32 segments of one item at a time whose ops it knows; says so where it does not.

    Every conversion is compared with onnxruntime before it is used. Weights are read into memory and kept in the
    layout its kernels want.
    """

    spin: bool = True  # threads wait busily for 20 ms after their work; turn off where workers share cores

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Convert `ops`, or fetch an earlier conversion of the same content.

        Raises:
            ModelError: ncnn has no form for an op, or its answer differs from onnxruntime's.
            MissingExtra: ncnn or its converter pnnx is not installed.
        """
        from shoal.graph import decode, extract, save

        where = f"segment '{stem}' (ncnn)"
        _library()
        tool = _pnnx.executable()
        model = decode.unpacked(extract(graph, ops))
        blobs = _pnnx.form(model, where)
        with cache.workspace("ncnn") as work:
            source = work / "segment.onnx"
            save(model, source, external=False)
            parts = ("1", version("pnnx"), version("ncnn"), cache.digest(source))
            key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
            place = cache.entry("ncnn", key, lambda to: _pnnx.convert(tool, source, to, blobs, where))
        names = {file: f"{stem}.ncnn.{file.rpartition('.')[2]}" for file in (PARAM, BIN, LAYOUT)}
        for file, name in names.items():
            cache.hand_out(place / file, folder / name)
        return tuple(names.values())

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> NcnnSession:
        """Load the converted segment.

        Raises:
            ModelError: a file is missing, damaged or of another program.
            MissingExtra: ncnn is not installed.
        """
        ncnn = _library()
        where = f"segment '{segment.name}' (ncnn)"
        files = _onnx.paths(segment, folder)
        layout = _layout(files, where)
        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.openmp_blocktime = SPIN_MS if self.spin else 0
        for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(net.opt, f"use_{option}", False)
        if net.load_param(str(files[0])) or net.load_model(str(files[1])):
            raise ModelError(f"ncnn refuses '{files[0].name}'", where=where)
        _host.trim()
        return NcnnSession(net, layout, program, segment, where)


class NcnnSession:
    """Runs one item; inputs and outputs are copied between the caller's memory and ncnn's own."""

    def __init__(self, net: Any, layout: Layout, program: Program, segment: Segment, where: str) -> None:
        self._net, self._where = net, where
        self._mat = _library().Mat
        self._inputs = {blob.tensor: blob for blob in layout.inputs}
        self._outputs = {blob.tensor: blob for blob in layout.outputs}
        self._shapes = {
            name: program.tensors[name].bound(program.sizes) for name in (*segment.inputs, *segment.outputs)
        }
        wrong = (set(self._inputs) ^ set(segment.inputs)) | (set(segment.outputs) - set(self._outputs))
        if wrong:
            raise ModelError(f"its file and the program disagree about {', '.join(sorted(wrong))}",
                             where=where, hint="deploy the bundle again")  # fmt: skip
        self._wanted = segment.outputs

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Run once.

        Raises:
            ModelError: an input does not fit, or ncnn fails.
        """
        given = {name: self._fitting(name, inputs[name]) for name in self._inputs}
        extractor = self._net.create_extractor()
        for name, array in given.items():
            # a copy: layers that work in place crash on memory ncnn does not own
            extractor.input(self._inputs[name].name, self._mat(array).clone())
        return {name: self._taken(extractor, name, into.get(name)) for name in self._wanted}

    def _fitting(self, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
        shape = self._shapes[name]
        if array.dtype != np.float32 or array.shape != shape:
            raise ModelError(f"input '{name}' does not fit", where=self._where,
                             needed=f"float32{list(shape)}", had=f"{array.dtype}{list(array.shape)}")  # fmt: skip
        return np.ascontiguousarray(array[0] if self._inputs[name].batched else array)

    def _taken(self, extractor: Any, name: str, target: NDArray[Any] | None) -> NDArray[Any]:
        fault, mat = extractor.extract(self._outputs[name].name)
        if fault:
            raise ModelError(f"ncnn fails at output '{name}'", where=self._where, had=f"code {fault}")
        result = np.empty(self._shapes[name], np.float32) if target is None else target
        made = np.asarray(mat)
        if made.size != result.size:
            raise ModelError(f"ncnn gives output '{name}' another shape", where=self._where,
                             needed=str(list(result.shape)), had=str(list(made.shape)))  # fmt: skip
        np.copyto(result.reshape(made.shape), made)
        return result


def _library() -> Any:
    try:
        import ncnn
    except ImportError as fault:
        raise MissingExtra("ncnn", "ncnn") from fault
    return ncnn


def _layout(files: Sequence[Path], where: str) -> Layout:
    """What stands in the files; they must be those it was written for, since ncnn checks little."""
    try:
        param, weights, described = files
        layout = codec.load(Layout, described)
    except (ValueError, InputError) as fault:
        raise ModelError("its files are not a converted segment", where=where) from fault
    digest = hashlib.sha256(param.read_bytes()).hexdigest()
    for path, fits in (
        (param, digest == layout.param_sha256),
        (weights, weights.stat().st_size == layout.bin_bytes),
    ):
        if not fits:
            raise ModelError(f"its file '{path.name}' is damaged", where=where, hint="deploy the bundle again")
    return layout

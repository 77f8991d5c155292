"""The default engine: ONNX Runtime on the CPU, weights mapped from a file prepared for this processor."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shoal import cache, codec
from shoal.engines import _host, _nbits, _onnx, _session
from shoal.engines._bound import OnnxruntimeSession
from shoal.engines._faults import faults, refusal
from shoal.errors import InputError, ModelError
from shoal.program import Program, Segment
from shoal.program.bundle import MANIFEST_FILE, Manifest

if TYPE_CHECKING:
    from shoal.graph import Graph

FORM = "1"  # of prepared segments; another number finds none of the old ones


@dataclass(frozen=True)
class Prepared:
    """What an optimised graph needs at load: whether packed copies of its weights are worth their memory."""

    prepack: bool


@dataclass(frozen=True)
class Onnxruntime:
    """Takes any cut of any ONNX file.

    At the first start on a device the segment is optimised in a process of its own and kept in the cache
    folder; later starts map that file: no second copy of the weights, no peak.
    """

    spin: bool = True  # threads wait busily between ops; turn off where workers share cores
    accuracy: int = 4  # of activations that meet coded weights: 4 is eight bits, block by block; 1 is float32
    cache_from_bytes: int = 1 << 20  # a segment whose files are smaller is optimised at every load

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write `ops` as ONNX, products with coded weights as one op each; what it has no type for as float32."""
        return _onnx.write(graph, ops, folder, stem, partial(_nbits.onnxruntime_form, accuracy=self.accuracy))

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> OnnxruntimeSession:
        """Load the segment, from the cache if it is large.

        Raises:
            ModelError: a file is missing or damaged, or onnxruntime has no kernel for an op.
            InputError: the cache folder cannot be written.
        """
        where = f"segment '{segment.name}' (onnxruntime)"
        files = _onnx.paths(segment, folder)
        model, prepack, optimised = files[0], True, False
        if sum(file.stat().st_size for file in files) >= self.cache_from_bytes:
            model, prepack = _prepared(segment, folder, files, where)
            optimised = True
        try:
            session = _session.opened(model, threads, spin=self.spin, prepack=prepack, optimised=optimised)
        except faults() as fault:
            raise refusal(str(fault), where) from fault
        _host.trim()
        return OnnxruntimeSession(session, program, segment, where)


def _prepared(segment: Segment, folder: Path, files: Sequence[Path], where: str) -> tuple[Path, bool]:
    """The optimised form of a segment on this device, and whether to pack its weights."""
    import onnxruntime

    named = _named(folder)
    digests = [named.get(name) or cache.digest(file) for name, file in zip(segment.files, files, strict=True)]
    parts = (FORM, onnxruntime.__version__, _host.processor(), *digests)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def build(place: Path) -> None:
        for file, digest in zip(files, digests, strict=True):
            if cache.digest(file) != digest:
                raise ModelError(f"its file '{file.name}' is not the one the manifest names", where=where,
                                 hint="deploy the bundle again")  # fmt: skip
        _optimise(files[0], place / "segment.onnx", where)

    place = cache.entry("segments", key, build, cache.MOST_BYTES)
    return place / "segment.onnx", codec.load(Prepared, place / "segment.onnx.json").prepack


def _named(folder: Path) -> dict[str, str]:
    """SHA-256 of the files as the bundle in `folder` names them; empty if it is no bundle.

    Spares reading large weights at every start; they are read, and compared, when the segment is prepared.
    """
    try:
        manifest = codec.load(Manifest, folder / MANIFEST_FILE)
    except InputError:
        return {}
    return {name: mark.sha256 for name, mark in manifest.files.items()}


def _optimise(model: Path, target: Path, where: str) -> None:
    script = Path(__file__).with_name("_optimise.py")
    # -P keeps this folder off the path: a module here is called like the library
    command = [sys.executable, "-P", str(script), str(model), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise ModelError(f"optimising it was ended by signal {-done.returncode}", where=where,
                         hint="the device may be out of memory")  # fmt: skip
    if done.returncode:
        raise refusal(done.stderr, where)

"""Trained decoders as files: their bytes, and what an engine makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress import compress
from shoal.compress.techniques.gptq import Gptq
from shoal.graph import load, save
from shoal.measure.segment import whole_segment
from shoal.study._hgf_arms import Trained
from shoal.train.language import Decoder, parameters, save_language
from shoal.train.ternary import normed_graph, normed_layers, stored_layers, ternary_graph

F32 = NDArray[np.float32]
HEAD = "logits"  # the product that is no layer
Run = Callable[[NDArray[np.int64]], F32]  # (n, places) symbols → logits


@dataclass(frozen=True)
class File:
    """A decoder for stretches of so many places."""

    path: Path
    decoder: Decoder
    engine: str = "native"

    @property
    def layers_bytes(self) -> int:
        """Of all that the file holds for the layers' products: codes, scales, corrections."""
        import onnx

        ours = tuple(f"{name}." for name, *_ in self.decoder.products())
        held = onnx.load(self.path).graph.initializer
        return sum(onnx.numpy_helper.to_array(each).nbytes for each in held if each.name.startswith(ours))

    @property
    def bytes(self) -> int:
        """Of the file, with embedding, norms and the graph."""
        return self.path.stat().st_size

    def opened(self, threads: int = 1) -> Run:
        """What runs it, a stretch at a time."""
        graph, folder = load(self.path), Path(mkdtemp(dir=self.path.parent))  # another's files may be mapped
        program, segment = whole_segment(graph, self.engine, folder)
        session = catalog.make("engines", self.engine).load(program, segment, folder, threads)

        def run(symbols: NDArray[np.int64]) -> F32:
            return np.concatenate([session.run({"symbols": each[None]}, {})[HEAD].copy() for each in symbols])

        return run


def exported(trained: Trained, places: int, folder: Path, packed: str = "tern5x8t") -> File:
    """The decoder for stretches of `places`, ternary layers in the format `packed`; `folder` is made."""
    folder.mkdir(parents=True)
    path = save_language(trained.course.decoder, parameters(trained.model), places, folder / "language.onnx")
    layers = stored_layers(trained.model, packed)
    if not layers:
        save(normed_graph(load(path), normed_layers(trained.model)).model, path, external=False)
        return File(path, trained.course.decoder, "onnxruntime")
    save(ternary_graph(load(path), layers).model, path, external=False)
    return File(path, trained.course.decoder)


def coded(plain: File, name: str, samples: NDArray[np.int64], folder: Path) -> File:
    """A float32 decoder whose layers are coded after training, by GPTQ, in the format `name`."""
    folder.mkdir(parents=True)
    given = [{"symbols": each[None]} for each in samples]
    made = compress(load(plain.path), [Gptq(name)], given, skip=(HEAD,)).model
    save(made, folder / "language.onnx", external=False)
    return File(folder / "language.onnx", plain.decoder, "onnxruntime:accuracy=1")


def greedy(run: Run, start: NDArray[Any], letters: int, places: int) -> bytes:
    """The likeliest bytes that follow, one after another; what stands behind a place does not change it."""
    found = [int(each) for each in start]
    for _ in range(letters):
        seen = found[-places:]
        window = np.zeros((1, places), np.int64)
        window[0, : len(seen)] = seen
        found.append(int(run(window)[0, len(seen) - 1].argmax()))
    return bytes(found[len(start) :])

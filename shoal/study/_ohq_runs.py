"""Networks in mixed formats, run as the engine runs them: their answers and their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress import FLOAT, compress
from shoal.compress.techniques.rtn import Rtn
from shoal.engines import Engine
from shoal.graph import Graph, load, save
from shoal.program import Program, Segment, TensorSpec

if TYPE_CHECKING:
    import onnx_ir as ir

UNCACHED = f":cache_from_bytes={1 << 40}"  # nobody runs these again
F32 = NDArray[np.float32]
Samples = Sequence[Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Network:
    """One network, its calibration samples, those to test with, and what it answers to them in float32."""

    graph: Graph
    calibration: Samples
    test: Samples
    folder: Path
    engine: str = "onnxruntime"

    @property
    def _engine(self) -> Engine:
        engine: Engine = catalog.make("engines", f"{self.engine}{UNCACHED if self.engine == 'onnxruntime' else ''}")
        return engine

    def file(self, formats: Mapping[str, str], activations: str = "") -> Path:
        """The network with its layers in these formats, each weight at the nearest value, as the engine has it."""
        coded = {op: name for op, name in formats.items() if name != FLOAT}
        if not coded:
            return self.written(self.graph)
        skip = [op for op, name in formats.items() if name == FLOAT]
        given = self.calibration if activations else ()
        return self.written(compress(self.graph, [Rtn("int8")], given, coded, skip, activations).model)

    def written(self, model: Graph | ir.Model) -> Path:
        """The model in onnxruntime's form, or as it is for other engines, which write theirs when they load it."""
        place = self.folder / f"{len(list(self.folder.iterdir()))}"
        place.mkdir()
        save(model, place / "plain.onnx")
        if self.engine != "onnxruntime":
            return place / "plain.onnx"
        return place / self._files(place / "plain.onnx")[0]

    def answers(self, file: Path) -> list[F32]:
        """The first output for each of the samples to test with."""
        graph = self.graph
        tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
        program = Program(graph.name, ("here/cpu",), (), (), (), 1, tensors)
        files = self._files(file.with_name("plain.onnx"))
        segment = Segment("whole", "here/cpu", graph.inputs, graph.outputs, self.engine, files=files)
        session = self._engine.load(program, segment, file.parent, 1)
        return [session.run(sample, {})[graph.outputs[0]].copy() for sample in self.test]

    def _files(self, plain: Path) -> tuple[str, ...]:
        """Those of the engine's form, beside the plain model."""
        graph = load(plain)
        return self._engine.write(graph, list(graph.position), plain.parent, "engine")


def divergence(plain: Sequence[F32], other: Sequence[F32]) -> float:
    """The mean KL divergence of the softmax of the answers, nats."""
    return float(np.mean([_kl(*map(_logs, each)) for each in zip(plain, other, strict=True)]))


def agreement(plain: Sequence[F32], other: Sequence[F32]) -> float:
    """The share whose likeliest class is the same, per cent."""
    return 100 * float(np.mean([one.argmax() == two.argmax() for one, two in zip(plain, other, strict=True)]))


def seconds(files: Mapping[str, Path], rounds: int, engine: str = "") -> dict[str, float]:
    """The median of each file's runs on one core, all files in turn."""
    from shoal.measure import Timed, Timing, cores_for, time_files

    timed = tuple(Timed(str(path), engine=engine) for path in files.values())
    found = time_files(Timing(timed, cores=cores_for(1), repeats=10, most_s=0.5, rounds=rounds))
    return {name: each.median_s for name, each in zip(files, found.spreads, strict=True)}


def _logs(values: F32) -> NDArray[np.float64]:
    flat = values.astype(np.float64).reshape(-1)
    shifted = flat - flat.max()
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return logs


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    return float((np.exp(p) * (p - q)).sum())

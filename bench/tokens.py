"""Products of many tokens in few bits: our kernels beside onnxruntime's, in alternating rounds, and a whole MiniLM.

    python -m bench.tokens [--tokens 1 4 16 32 128] [--size 4096] [--threads 1 2] [--rounds 7] [--parts products model]

Each contender goes through copies of a matrix of random weights, 64 MB of them at least or two. Activations are made ready
within the time. GMAC/s are multiplications of weights with activations, GB/s those of packed weights. The machine's peak is
what numpy's BLAS reaches with large matrices in float32, and four times as much for whole numbers: VNNI multiplies four
bytes where a fused multiply-add takes one float32. onnxruntime may use AMX, which is beyond that.

MiniLM is coded to the nearest values, in groups of 32, and runs in float32 and on codes in onnxruntime, on codes in ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.lowbit import CACHE_BYTES, Contender, onnxruntimes, ours, packings
from shoal import catalog
from shoal.compress import compress, opened
from shoal.engines.contract import Session
from shoal.engines.kernels import limit_threads
from shoal.graph import Graph, load, save
from shoal.program import Program, Segment, TensorSpec

THEIRS = {
    "float32": "ort float32",
    "int8": "ort MatMulInteger",
    "nbits4": "ort MatMulNBits 4",
    "nbits8": "ort MatMulNBits 8",
}
PACKINGS = ("4 bit g32", "4 bit g128", "8 bit g64", "2 bit g128", "hlq2 g128")
VNNI_OVER_FMA = 4
SIDE = 2048  # of the matrices that show the peak
LEAST_S = 0.1  # how long a quick model is repeated in a round


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    tokens: int
    threads: int
    name: str
    s: float  # median
    least_s: float
    most_s: float
    macs: int = 0
    bytes: int = 0

    def text(self, peak: float) -> str:
        """For people; `peak` in float32 MACs a second."""
        said = f"{self.what} {self.tokens:4} tokens {self.threads} threads {self.name:24} {self.s * 1e3:8.3f} ms " \
               f"({self.least_s * 1e3:.3f}…{self.most_s * 1e3:.3f})"  # fmt: skip
        if not self.macs:
            return said
        limit = peak * (1 if self.name == THEIRS["float32"] else VNNI_OVER_FMA)
        rate = self.macs / self.s
        return f"{said} {rate / 1e9:7.1f} GMAC/s ({rate / limit:.0%} of peak) {self.bytes / self.s / 1e9:5.1f} GB/s"


def peak_macs_per_s(threads: int) -> float:
    """Of float32, by BLAS."""
    limit_threads(threads)
    one, other = (np.random.default_rng(seed).standard_normal((SIDE, SIDE), dtype=np.float32) for seed in (0, 1))
    found = []
    for _ in range(5):
        began = time.perf_counter()
        one @ other
        found.append(SIDE**3 / (time.perf_counter() - began))
    return max(found)


def alternating(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, round by round, after one for warm-up."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, run in work.items():
            began, count = time.perf_counter(), 0
            while count == 0 or time.perf_counter() - began < LEAST_S:
                run()
                count += 1
            if turn:
                found[name].append((time.perf_counter() - began) / count)
    return found


def products(tokens: int, size: int, threads: int, rounds: int) -> list[Row]:
    """All contenders on square matrices."""
    shape = (size, size)
    x = np.random.default_rng(4).standard_normal((tokens, size)).astype(np.float32)
    contenders = [onnxruntimes(name, node, shape, threads, tokens, CACHE_BYTES) for node, name in THEIRS.items()]
    makers = packings(shape)
    contenders += [ours(f"shoal {name}", makers[name], threads, CACHE_BYTES) for name in PACKINGS]
    times = alternating({each.name: partial(each.run, x) for each in contenders}, rounds)
    return [_row(each, tokens, size, threads, times[each.name]) for each in contenders]


def _row(each: Contender, tokens: int, size: int, threads: int, seconds: Sequence[float]) -> Row:
    low, middle, high = (value / each.copies for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return Row(f"{size}²", tokens, threads, each.name, middle, low, high, tokens * size * size, each.bytes)


def minilm(tokens: int, threads: int, rounds: int, folder: Path) -> list[Row]:
    """The whole model."""
    from examples.models import minilm as network

    plain = opened(network.model(), dict.fromkeys(network.INPUTS, (1, tokens)), folder=folder)
    coded = {name: compress(plain, [catalog.make("compress/techniques", f"rtn:format={name}")]).model
             for name in ("int4g32", "int8g32")}  # fmt: skip
    files = {"float32": folder / "plain.onnx"} | {name: folder / f"{name}.onnx" for name in coded}
    for name, path in files.items():
        save(coded.get(name, plain), path)
    sessions = {
        f"{engine} {name}": session(load(path), engine, folder / engine / name, threads)
        for name, path in files.items()
        for engine in (("onnxruntime",) if name == "float32" else ("onnxruntime", "native", "native:spin=false"))
    }
    x = {name: np.ones((1, tokens), np.int64) for name in network.INPUTS}
    x["input_ids"] = np.random.default_rng(0).integers(1000, 20000, (1, tokens))
    times = alternating({name: partial(each.run, x, {}) for name, each in sessions.items()}, rounds)
    return [
        Row("MiniLM", tokens, threads, name, statistics.median(seconds), min(seconds), max(seconds))
        for name, seconds in times.items()
    ]


def session(graph: Graph, engine: str, folder: Path, threads: int) -> Session:
    """The model in an engine."""
    made = catalog.make("engines", engine)
    files = made.write(graph, [op.name for op in graph.ops], folder, "whole")
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    program = Program("bench", ("here/cpu",), (), (), (), 1, tensors)
    segment = Segment("whole", "here/cpu", graph.inputs, graph.outputs, engine.partition(":")[0], files=files)
    loaded: Session = made.load(program, segment, folder, threads)
    return loaded


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 4, 16, 32, 128])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", nargs="+", default=["products", "model"])
    options = parser.parse_args()
    rows: list[Row] = []
    for threads in options.threads:
        peak = peak_macs_per_s(threads)
        print(
            f"peak with {threads} threads: {peak / 1e9:.0f} GMAC/s in float32, {VNNI_OVER_FMA} times that in whole numbers"
        )
        for tokens in options.tokens:
            found: list[Row] = []
            if "products" in options.parts:
                found += products(tokens, options.size, threads, options.rounds)
            if "model" in options.parts:
                with TemporaryDirectory(prefix="shoal-") as folder:
                    found += minilm(tokens, threads, options.rounds, Path(folder))
            for row in found:
                print(row.text(peak), flush=True)
            rows += found
    print(json.dumps([vars(row) for row in rows]))


if __name__ == "__main__":
    main()

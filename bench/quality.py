"""What fewer bits cost on real photos and sentences: ours and onnxruntime's own quantisers on the same samples.

    python -m bench.quality [--models efficientnet_lite0,minilm] [--crops 1000] [--sentences 1000] [--only W8A8]
        [--named shoal]

EfficientNet-Lite0: how often the likeliest class is that of the float network, over seeded crops of six photos; calibrated on
crops of eleven others. MiniLM: how often a sentence's nearest neighbour among all others is that of the float network
(top-1), how often of two others the same one is nearer (pairs), and the rank correlation of all similarities (Spearman),
over sentences of Python's documentation; calibrated on sentences of other texts. Intervals are Wilson's of 95 %; crops of
one photo are alike, so they are a lower bound of what is not known. Every contender starts from the same file, with
normalisations within convolutions and shapes bound, and gets the same samples. Latency is that of one item on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.shape_inference import InferenceError

from bench import _quality_data as data
from bench import _quality_peers as peers
from shoal import catalog
from shoal.compress import compress, ends, opened
from shoal.graph import load, save

Arrays = Mapping[str, NDArray[Any]]
F32 = NDArray[np.float32]
THREADS = 2  # of quantising and answering
RUNS = 15  # of the latency
TRIPLES = 200_000

PEERS_REFUSE = (ImportError, RuntimeError, ValueError, NotImplementedError, InferenceError)


@dataclass(frozen=True)
class Contender:
    """One way to fewer bits."""

    bits: str  # "W8A8"
    name: str
    make: peers.Make
    accuracy: int = 0  # on our engine, of activations that meet coded weights; 0: the file in plain onnxruntime

    @property
    def ours(self) -> bool:
        """Whether a failure is a defect; a peer may not take a model, which is told."""
        return self.name.startswith("shoal")


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %."""
        z, share = 1.96, self.hits / self.of
        middle, wide = (
            share + z * z / (2 * self.of),
            z * sqrt(share * (1 - share) / self.of + (z / (2 * self.of)) ** 2),
        )
        whole = 1 + z * z / self.of
        return (middle - wide) / whole, (middle + wide) / whole

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits / self.of:7.2%} ({low:.2%}…{high:.2%})"


def ours(*chain: str, activations: str = "", ends_in: str = "", correct: bool = True) -> peers.Make:
    """`shoal compress` with these techniques."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        graph = opened(source)
        techniques = [catalog.make("compress/techniques", each) for each in chain]
        formats = ends(graph, ends_in) if ends_in else None
        found = compress(
            graph, techniques, samples, formats, activations=activations, threads=THREADS, correct=correct
        )
        save(found.model, to)

    return make


IMAGES = (
    Contender("W8A8", "shoal, all in codes", ours("gptq:format=int8", activations="int8")),
    Contender("W8A8", "shoal, sums in float32", ours("gptq:format=int8", activations="int8-inputs")),
    Contender("W8A8", "static, min and max", peers.static("min and max")),
    Contender("W8A8", "static, percentile", peers.static("percentile")),
    Contender("W8A8", "static, entropy", peers.static("entropy")),
    Contender("W8A8", "dynamic", peers.dynamic(("Conv", "MatMul", "Gemm"))),
    Contender("W4A8", "shoal, all in codes", ours("compensate", "gptq:format=int4", activations="int8")),
    Contender("W4A8", "shoal, ends in 8 bits",
              ours("compensate", "gptq:format=int4", activations="int8-inputs", ends_in="int8")),
    Contender("W4A8", "static, min and max", peers.static("min and max", bits=4)),
    Contender("W4A8", "static, percentile", peers.static("percentile", bits=4)),
    Contender("W8", "shoal", ours("gptq:format=int8")),
    Contender("W4", "shoal", ours("compensate", "gptq:format=int4")),
    Contender("W4", "shoal, ends in 8 bits", ours("compensate", "gptq:format=int4", ends_in="int8")),
)  # fmt: skip
PRODUCT = ("MatMul",)
TEXTS = (
    Contender("W8A8", "shoal, by blocks", ours("gptq:format=int8g32"), 4),
    Contender("W8A8", "shoal, smoothed, by blocks", ours("smoothquant", "gptq:format=int8g32"), 4),
    Contender("W8A8", "shoal, a scale a row", ours("gptq:format=int8"), 4),
    Contender("W8A8", "shoal, static", ours("gptq:format=int8", activations="int8-inputs")),
    Contender("W8A8", "NBits, blocks of 32", peers.nbits(8, 32, 4)),
    Contender("W8A8", "dynamic", peers.dynamic(PRODUCT)),
    Contender("W8A8", "static, min and max", peers.static("min and max", PRODUCT)),
    Contender("W8A8", "static, percentile", peers.static("percentile", PRODUCT)),
    Contender("W8A8", "static, entropy", peers.static("entropy", PRODUCT)),
    Contender("W4A8", "shoal, gptq", ours("compensate", "gptq:format=int4g32"), 4),
    Contender("W4A8", "NBits, nearest", peers.nbits(4, 32, 4)),
    Contender("W4A8", "NBits, gptq", peers.gptq(32, 4)),
    Contender("W8", "shoal", ours("gptq:format=int8g32"), 1),
    Contender("W8", "NBits, nearest", peers.nbits(8, 32, 1)),
    Contender("W4", "shoal, gptq", ours("compensate", "gptq:format=int4g32"), 1),
    Contender("W4", "shoal, smoothed, gptq affine", ours("smoothquant", "gptq:format=int4ag32"), 1),
    Contender("W4", "shoal, gptq affine", ours("compensate", "gptq:format=int4ag32"), 1),
    Contender("W4", "NBits, nearest", peers.nbits(4, 32, 1)),
    Contender("W4", "NBits, nearest affine", peers.nbits(4, 32, 1, symmetric=False)),
    Contender("W4", "NBits, gptq", peers.gptq(32, 1)),
    Contender("W4", "NBits, hqq affine", peers.hqq(32, 1)),
    Contender("W4", "NBits, k-quant affine", peers.k_quant(32, 1)),
)


def session(path: Path, threads: int = THREADS) -> ort.InferenceSession:
    """The file in onnxruntime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def answers(path: Path, output: str, items: Sequence[Arrays]) -> F32:
    """What the file answers to each item, one row each."""
    ready = session(path)
    return np.concatenate([ready.run([output], dict(each))[0] for each in items])


def latency_s(path: Path, item: Arrays) -> float:
    """Of one item on one thread, the median."""
    ready, found = session(path, 1), []
    for _ in range(RUNS):
        began = time.perf_counter()
        ready.run(None, dict(item))
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def classes(plain: F32, coded: F32) -> Iterator[tuple[str, Any]]:
    """How alike two tables of logits are."""
    yield "top-1", Share(int((plain.argmax(axis=1) == coded.argmax(axis=1)).sum()), len(plain))
    yield (
        "logits, dB",
        round(qsnr_db(plain - plain.mean(axis=1, keepdims=True), coded - coded.mean(axis=1, keepdims=True)), 1),
    )


def neighbours(plain: F32, coded: F32) -> Iterator[tuple[str, Any]]:
    """How alike two tables of embeddings rank."""
    one, other = (each @ each.T for each in (plain.astype(np.float64), coded.astype(np.float64)))
    for each in (one, other):
        np.fill_diagonal(each, -np.inf)
    count = len(plain)
    yield "top-1", Share(int((one.argmax(axis=1) == other.argmax(axis=1)).sum()), count)
    source = np.random.default_rng(0)
    query, left, right = (source.integers(0, count, TRIPLES) for _ in range(3))
    apart = (query != left) & (query != right) & (left != right)
    query, left, right = query[apart], left[apart], right[apart]
    same = (one[query, left] > one[query, right]) == (other[query, left] > other[query, right])
    yield "pairs", Share(int(same.sum()), len(same))
    upper = np.triu_indices(count, 1)
    ranks = [np.argsort(np.argsort(each[upper])).astype(np.float64) for each in (one, other)]
    yield "Spearman", round(float(np.corrcoef(*ranks)[0, 1]), 5)
    yield "embeddings, dB", round(qsnr_db(plain, coded), 1)


def qsnr_db(plain: F32, coded: F32) -> float:
    """The energy of values over that of their error."""
    return float(
        10 * np.log10((plain.astype(np.float64) ** 2).sum() / ((plain - coded).astype(np.float64) ** 2).sum())
    )


def on_engine(path: Path, accuracy: int) -> Path:
    """The file as our engine writes it: products on codes as one op each."""
    graph = load(path)
    folder = path.parent / f"{path.stem}.engine"
    folder.mkdir(exist_ok=True)
    engine = catalog.make("engines", f"onnxruntime:accuracy={accuracy}")
    return folder / engine.write(graph, [op.name for op in graph.ops], folder, "whole")[0]


def contest(
    model: str, contenders: Sequence[Contender], source: Path, output: str, samples: Sequence[Arrays],
    items: Sequence[Arrays], alike: Callable[[F32, F32], Iterator[tuple[str, Any]]],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """All contenders on one model."""
    plain = answers(source, output, items)
    print(
        f"{model}: float32 {latency_s(source, items[0]) * 1e3:.1f} ms (measured), {len(samples)} samples, {len(items)} items"
    )
    for number, each in enumerate(contenders):
        to = source.parent / f"coded{number}.onnx"
        began, used = time.perf_counter(), time.process_time()
        try:
            each.make(source, to, samples)
        except PEERS_REFUSE as fault:
            if each.ours:
                raise
            print(f"  {each.bits:5} {each.name:24} not there: {str(fault).splitlines()[0][:90]}")
            continue
        taken, used = time.perf_counter() - began, time.process_time() - used
        file = on_engine(to, each.accuracy) if each.accuracy else to
        found = dict(alike(plain, answers(file, output, items)))
        quick = latency_s(file, items[0])
        shown = ", ".join(f"{what} {value}" for what, value in found.items())
        print(
            f"  {each.bits:5} {each.name:24} {shown}; made in {taken:.1f} s (CPU {used:.1f}), {quick * 1e3:.1f} ms",
            flush=True,
        )
        facts = {what: asdict(value) if isinstance(value, Share) else value for what, value in found.items()}
        yield {
            "model": model,
            "bits": each.bits,
            "name": each.name,
            "made_s": taken,
            "cpu_s": used,
            "latency_s": quick,
            **facts,
        }


def efficientnet_lite0(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Crops of photos."""
    from examples.models import efficientnet_lite0 as network

    source = folder / "efficientnet.onnx"
    save(opened(network.model(), folder=folder), source, external=False)
    samples = data.crops(data.calibration_photos(), options.samples, seed=1)
    items = data.crops(data.tested_photos(), options.crops, seed=2)
    yield from contest("efficientnet_lite0", chosen(IMAGES, options), source, "logits", samples, items, classes)


def minilm(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Sentences."""
    from examples.models import minilm as network

    source = folder / "minilm.onnx"
    began = time.perf_counter()
    graph = opened(network.model(), dict.fromkeys(network.INPUTS, (1, data.TOKENS)), folder=folder)
    save(graph, source, external=False)
    print(f"minilm: opened and brought to opset 21 in {time.perf_counter() - began:.1f} s")
    calibration, tested = data.sentences()
    samples = data.encoded(calibration[:: max(1, len(calibration) // (2 * options.samples))][: 2 * options.samples])
    items = data.encoded(tested[: options.sentences])
    yield from contest("minilm", chosen(TEXTS, options), source, "sentence_embedding", samples, items, neighbours)


def chosen(contenders: Sequence[Contender], options: argparse.Namespace) -> list[Contender]:
    """Those that were asked for."""
    return [each for each in contenders if options.only in (each.bits, "") and options.named in each.name]


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="efficientnet_lite0,minilm")
    parser.add_argument("--crops", type=int, default=1000)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument(
        "--samples", type=int, default=32, help="crops to calibrate with; of sentences twice as many"
    )
    parser.add_argument("--only", default="", help="contenders of these bits: W8A8, W4A8, W8, W4")
    parser.add_argument("--named", default="", help="contenders whose names hold this")
    options = parser.parse_args()
    rows = []
    for name in options.models.split(","):
        with TemporaryDirectory(prefix="shoal-") as folder:
            rows += list({"efficientnet_lite0": efficientnet_lite0, "minilm": minilm}[name](Path(folder), options))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()

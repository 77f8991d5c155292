"""The small decoder that comes with shoal in few bits, by the ordinary pipeline: how well each foresees held-out text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress import Compressed, compress, opened
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.study.contract import Finding, Shown, Table
from shoal.train.language import Decoder, Stretches, corpus, losses, save_language, stretches, tiny

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.graph import Graph
    from shoal.study._bench import Bench

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Logits = Callable[[I64], NDArray[np.floating]]  # (n, places) symbols → (n, places, vocabulary)

HEAD = "logits"  # the last product, which stays in float32
NARROW = 32  # columns of a group of whole numbers that take nearly as many bits as planes with wider ones
RESAMPLED = 2000
DECODED = f"onnxruntime:accuracy=1,cache_from_bytes={1 << 40}"  # activations stay in float32


@dataclass(frozen=True, eq=False)
class Ground:
    """The decoder as a graph, what it is calibrated on, and text that it has not seen."""

    decoder: Decoder
    weights: Mapping[str, F32]
    graph: Graph
    samples: Sequence[Mapping[str, NDArray[Any]]]
    held: Stretches
    folder: Path

    def answering(self, model: Graph | ir.Model, engine: str = DECODED) -> Logits:
        """(n, places) symbols → (n, places, vocabulary) logits of the model, run by an engine on one thread."""
        from shoal import catalog
        from shoal.graph import load, save
        from shoal.measure.segment import whole_segment

        place = self.folder / f"model-{len(list(self.folder.iterdir()))}"
        place.mkdir()
        save(model, place / "model.onnx")
        program, segment = whole_segment(load(place / "model.onnx"), engine, place)
        session = catalog.make("engines", engine).load(program, segment, place, 1)
        (given,), (wanted,) = self.graph.inputs, self.graph.outputs
        return lambda symbols: np.concatenate(
            [session.run({given: each[None]}, {})[wanted].copy() for each in symbols]
        )


@dataclass(frozen=True, eq=False)
class Read:
    """One way to fewer bits."""

    name: str
    bits: float  # a weight, with scales
    lost: F64  # of each held-out stretch, nats a byte
    made: Compressed | None = None

    @property
    def perplexity(self) -> float:
        """A byte."""
        return float(np.exp(self.lost.mean()))


def ground(bench: Bench, layers: int, samples: int, held: int) -> Ground:
    """The decoder (its first so many layers; 0: all) with so many stretches to calibrate on, and to test with (0: all)."""
    decoder, weights = tiny()
    decoder = replace(decoder, layers=layers or decoder.layers)
    folder = bench.scratch / "decoder"
    folder.mkdir()
    path = save_language(decoder, weights, decoder.context, folder / "plain.onnx")
    learned, tested = (stretches(each, decoder.context) for each in corpus())
    chosen = np.linspace(0, len(learned.x) - 1, samples).astype(int)
    given = [{"symbols": learned.x[at][None]} for at in chosen]
    held = held or len(tested.x)
    return Ground(decoder, weights, opened(path), given, Stretches(tested.x[:held], tested.y[:held]), folder)


def plain(ground: Ground) -> Read:
    """The decoder as it is."""
    return Read("float32", 32.0, losses(ground.answering(ground.graph), ground.held))


def read(ground: Ground, bits: int, group: int, bench: Bench) -> dict[str, Read]:
    """Every way to so many bits, by its name."""
    found = {}
    for name, technique in _ways(bits, group).items():
        given = ground.samples if technique.needs_samples else ()
        made = compress(ground.graph, [technique], given, skip=[HEAD])
        found[name] = Read(name, made.bits_per_weight, losses(ground.answering(made.model), ground.held), made)
        bench.say(f"{bits} bits, {name}: perplexity {found[name].perplexity:.3f}")
    return found


def _ways(bits: int, group: int) -> dict[str, Rtn | Gptq]:
    uniform, planes = f"int{bits}ag{group}", f"hlq{bits}g{group}"
    return {
        "nearest": Rtn(uniform),
        "nearest, planes": Rtn(planes),
        "GPTQ": Gptq(uniform),
        "GPTQ, scales searched": Gptq(f"int{bits}asg{group}"),
        f"GPTQ, scales searched, groups of {NARROW}": Gptq(f"int{bits}asg{NARROW}"),
        "GPTQ, planes": Gptq(planes),
    }


def table(plain: Read, by_bits: Mapping[int, Mapping[str, Read]]) -> Iterator[Shown]:
    """Perplexities, all on the same text."""
    rows: list[tuple[str | float, ...]] = [("float32", 32.0, 32.0, plain.perplexity)]
    for bits, ways in by_bits.items():
        rows += [(name, bits, each.bits, each.perplexity) for name, each in ways.items()]
    places = f"{len(plain.lost)} stretches of text that was not learned from; the head stays in float32"
    yield Table(
        "The small decoder's perplexity, a byte", ("way", "bits", "with scales", "perplexity"), rows, places
    )


def over(key: str, one: Read, other: Read, seed: int) -> Finding:
    """Perplexity of one over the other's; the interval is a bootstrap over stretches, each met by both."""
    apart = one.lost - other.lost
    drawn = np.random.default_rng(seed).integers(0, len(apart), (RESAMPLED, len(apart)))
    low, high = np.exp(np.quantile(apart[drawn].mean(axis=1), [0.025, 0.975]))
    why = f"{one.perplexity:.3f} over {other.perplexity:.3f}, {one.bits:.2f} and {other.bits:.2f} bits; 95 % over stretches"
    ratio = float(np.exp(apart.mean()))
    return Finding(key, ratio, "measured", len(apart), (min(low, ratio), max(high, ratio)), why)

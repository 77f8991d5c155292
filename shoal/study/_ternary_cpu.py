"""A small ternary decoder that is trained here, as packed files on this machine's kernels beside onnxruntime's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import MissingExtra
from shoal.study.contract import Finding, Note, Shown, Table, untestable

if TYPE_CHECKING:
    from shoal.study._bench import Bench
    from shoal.study._hgf_arms import Trained

PROMPT, PROMPTS = 32, 6  # bytes of a beginning, and how many
OURS, FLOAT, INT8 = "packed, native", "float32, onnxruntime", "int8, onnxruntime"


@dataclass(frozen=True)
class Sizes:
    """Of the decoder and its training; the defaults are those of the study of HGF, whose network it then is."""

    width: int = 192
    layers: int = 2
    heads: int = 6
    hidden: int = 512
    context: int = 128
    steps: int = 300
    seed: int = 0

    def trained(self, bench: Bench) -> Trained | MissingExtra:
        """Now or before, without steps as its weights are drawn; or why not."""
        import numpy as np

        from shoal.study._hgf_arms import TERNARY, Course, Trained, built
        from shoal.train import Recipe
        from shoal.train.language import Decoder

        decoder = Decoder(self.width, self.layers, self.heads, self.hidden, self.context)
        try:
            if not self.steps:
                course = Course(decoder, Recipe(), say=bench.say)
                return Trained(TERNARY, course, built(TERNARY, decoder, self.seed).eval(), np.zeros(0, np.float32))
            recipe = Recipe(steps=self.steps, batch=8, optimiser="adamw", rate=3e-3, warmup=0.05, clip=1.0)
            return Course(decoder, recipe, say=bench.say).trained(TERNARY, self.seed)
        except MissingExtra as fault:
            return fault


@dataclass(frozen=True)
class OnCpu:
    """What is asked of the packed decoder."""

    packed: str  # format of its layers, "tern5x8t"
    bits: float  # of one weight there
    letters: int  # of greedy text
    rounds: int  # of timing

    def agrees(self, bench: Bench, sizes: Sizes) -> Iterator[Shown]:
        """Findings "text" and "size"."""
        trained = sizes.trained(bench)
        if isinstance(trained, MissingExtra):
            yield from (untestable(key, trained.message) for key in ("text", "size"))
        else:
            bench.say("greedy text")
            yield from self._agrees(trained, bench.scratch / "whole")

    def speeds(self, bench: Bench, sizes: Sizes, places: Mapping[str, int]) -> Iterator[Shown]:
        """Findings of int8 and float32 for each of `places`, which are so many at once."""
        trained = sizes.trained(bench)
        if isinstance(trained, MissingExtra):
            keys = (f"{name}_{other}" for name in places for other in ("int8", "float"))
            yield from (untestable(key, trained.message) for key in keys)
            return
        rows: list[tuple[str | float, ...]] = []
        for name, count in bench.each(tuple(places.items()), "speed"):
            took, size = self._seconds(trained, count, bench.scratch / name)
            for other, key in ((INT8, "int8"), (FLOAT, "float")):
                yield Finding(f"{name}_{key}", took[other] / took[OURS], "measured", self.rounds,
                              why=f"{count} at once, one core, {size / 1e6:.3g} MB of packed layers")  # fmt: skip
            rows += [(name, count, each, count / seconds) for each, seconds in took.items()]
        yield Table(f"A decoder of width {sizes.width} on this machine, one core", ("phase", "tokens at once", "", "tokens/s"),
                    rows, "one at once is without those before it: products and no cache of keys")  # fmt: skip

    def _agrees(self, trained: Trained, folder: Path) -> Iterator[Shown]:
        from shoal.study._hgf_files import exported, greedy
        from shoal.train.language import corpus, runner

        context = trained.course.decoder.context
        file = exported(trained, context, folder, self.packed)
        text = corpus()[1]
        size = min(PROMPT, context // 2)
        starts = [text[at : at + size] for at in range(0, len(text) - size, len(text) // PROMPTS)][:PROMPTS]
        ours, theirs = (
            [greedy(run, start, self.letters, context) for start in starts]
            for run in (file.opened(), runner(trained.model))
        )
        yield Finding(
            "text", ours == theirs, "measured", PROMPTS * self.letters, why=f"{PROMPTS} beginnings; n: bytes"
        )
        weights = sum(inputs * outputs for _, outputs, inputs in trained.course.decoder.products())
        yield Finding(
            "size",
            8 * file.layers_bytes / weights,
            "computed",
            why=f"published form: {self.bits:.3g}; scales counted",
        )
        yield Note(
            f"It goes on from “{_plain(starts[-1].tobytes())}” with “{_plain(ours[-1])}”, loss {trained.held:.2f} nats a byte."
        )

    def _seconds(self, trained: Trained, places: int, folder: Path) -> tuple[dict[str, float], int]:
        """See `medians`; and bytes of the packed layers."""
        from shoal.study._hgf_files import exported

        file = exported(trained, places, folder, self.packed)
        return medians(file.path, folder, self.rounds), file.layers_bytes


def medians(packed: Path, folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of a packed file, and of what it stands for in float32 and int8: medians of alternating rounds, one core."""
    from shoal.measure import Timed, Timing, cores_for, time_files

    plain = _decoded(packed, folder)
    paths = {OURS: packed, FLOAT: plain, INT8: _whole(plain, folder / "int8.onnx")}
    timed = tuple(Timed(str(path), engine="native" * (name == OURS)) for name, path in paths.items())
    found = time_files(Timing(timed, cores=cores_for(1), repeats=10, most_s=0.5, rounds=rounds))
    return {name: each.median_s for name, each in zip(paths, found.spreads, strict=True)}


def _decoded(packed: Path, folder: Path) -> Path:
    """The same with layers in float32, as other engines have them."""
    from shoal.graph import load
    from shoal.measure.segment import whole_segment

    _, segment = whole_segment(load(packed), "onnxruntime", folder)
    return folder / segment.files[0]


def _whole(plain: Path, path: Path) -> Path:
    """Products in int8 by onnxruntime's own tool, activations rounded as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(plain, path, weight_type=QuantType.QInt8)
    return path


def _plain(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())

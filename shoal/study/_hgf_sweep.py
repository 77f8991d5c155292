"""What bytes buy: corrections of other ranks, wider ternary layers, and few bits after training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shoal.study._bench import Bench
from shoal.study._hgf_arms import TERNARY, Arm, Course, Trained, corrected
from shoal.study._hgf_files import coded, exported
from shoal.study._hgf_shown import COMPARED, Held, Trio, held_loss
from shoal.study.contract import Chart, Finding, Series, Shown, Table
from shoal.train.language import corpus
from shoal.train.ternary import Gate, most_sensitive

SAMPLES = 32  # stretches that layers are coded with after training
ABOUT = 1.25  # rivals of so many times the bytes count as of the same


@dataclass(frozen=True)
class Point:
    """One decoder."""

    name: str
    loss: float  # of text held out, nats a byte
    bytes: int  # of its layers


@dataclass(frozen=True, eq=False)
class Sweep:
    """One seed's decoders, and what they are held against."""

    bench: Bench
    course: Course
    seed: int
    rank: int
    gate: Gate
    files: Trio
    held: Held

    def shown(self, ranks: Sequence[int], formats: Sequence[str], spread: float) -> Iterator[Shown]:
        """Findings, a table and a chart; `spread`: how far seeds are apart, points."""
        bases = [Point("ternary", self.held.ternary, self.files[1].layers_bytes),
                 Point("float32", self.held.plain, self.files[0].layers_bytes)]  # fmt: skip
        swept = [self._trained(corrected(rank, self.gate)) for rank in self.bench.each(ranks, "rank")]
        gains = [self.held.recovered(each.loss) for each in swept]
        fall = max([0.0, *(one - after for one, after in pairwise(gains))])
        why = f"one seed; it falls by {fall:.1f} at most, seeds are {spread:.1f} apart"
        yield Finding("sweep", fall - spread, "measured", len(gains), why=why)
        rivals = [self._wider(), *(self._coded(bases[1], name) for name in self.bench.each(formats, "format"))]
        alike = [each.loss for each in rivals if each.bytes <= ABOUT * self.files[2].layers_bytes]
        yield Finding("rival", min(alike) - self.held.hybrid, "measured", len(alike),
                      why=f"bytes up to {ABOUT:g} times those of the corrected layers")  # fmt: skip
        others = [*rivals, *self._variants()]
        yield self._table([bases[0], *swept, *others, bases[1]])
        yield Chart("What bytes buy", "layers, kB", "made good, %", (
            self._series("ranks", [bases[0], *swept]),
            *(self._series(each.name, [each]) for each in others if self.held.recovered(each.loss) > -100),
        ), kind="points", note="what is worse than the ternary network by more than the gap is left out")  # fmt: skip

    def _trained(self, arm: Arm) -> Point:
        return self._point(self.course.trained(arm, self.seed))

    def _point(self, trained: Trained) -> Point:
        folder = self.bench.scratch / "sweep" / f"{trained.arm.name} {trained.course.decoder.hidden}"
        file = exported(trained, trained.course.decoder.context, folder)
        return Point(trained.arm.name, trained.held, file.layers_bytes)

    def _wider(self) -> Point:
        """Plain ternary, its gated products wider by the bytes of the corrections, five weights in each."""
        decoder = self.course.decoder
        weights = 5 * (self.files[2].layers_bytes - self.files[1].layers_bytes)
        hidden = decoder.hidden + 8 * round(weights / (3 * decoder.width * decoder.layers) / 8)
        made = self._point(self.course.wider(hidden).trained(TERNARY, self.seed))
        return Point(f"ternary, {hidden} hidden", made.loss, made.bytes)

    def _coded(self, plain: Point, name: str) -> Point:
        """The float32 decoder, coded."""
        text = np.lib.stride_tricks.sliding_window_view(corpus()[0], self.course.decoder.context)
        samples = text[:: len(text) // SAMPLES][:SAMPLES].astype(np.int64)
        file = coded(self.files[0], name, samples, self.bench.scratch / "sweep" / name)
        return Point(f"{plain.name}, then {name}", held_loss(file, self.course), file.layers_bytes)

    def _variants(self) -> Iterator[Point]:
        """Twice the rank on the layers that lose most; and differential attention, of which there is no file."""
        ternary = self.course.trained(TERNARY, self.seed)
        chosen = most_sensitive(ternary.model, self.course.held.x[:COMPARED])
        yield self._trained(corrected(2 * self.rank, self.gate, only=chosen))
        both = self.course.trained(corrected(self.rank, self.gate, attention=True), self.seed)
        yield Point(both.arm.name, both.held, self.files[2].layers_bytes)

    def _table(self, points: Sequence[Point]) -> Table:
        base = self.files[1].layers_bytes
        return Table("Ranks and rivals", ("", "loss, nats a byte", "layers, kB", "over ternary, %", "made good, %"), [
            (each.name, each.loss, each.bytes / 1000, 100 * (each.bytes / base - 1), self.held.recovered(each.loss))
            for each in points
        ], "few bits: float32 coded after training by GPTQ; all others are trained as they are")  # fmt: skip

    def _series(self, name: str, points: Sequence[Point]) -> Series:
        return Series(
            name, [each.bytes / 1000 for each in points], [self.held.recovered(each.loss) for each in points]
        )

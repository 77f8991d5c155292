"""MiniLM and a small vision transformer with attention in light: what is lost error by error, what is small layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.machines.accelerators import Array
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from shoal.study import Chart, Finding, Series, Shown, Table
from shoal.study._hyatten_network import ATTENTION, Network, Tally, together
from shoal.study._hyatten_text import cosines, encoder

if TYPE_CHECKING:
    from shoal.study._digits import Digits

FINE = 24  # bits of a converter whose error is nothing
QUIET, NOISY = "and the split at 4 bits", "split at 4 bits, with noise"
FOUR, TILE = "all converters of 4 bits, with noise", "split, one scale a tile, with noise"
EVERY = "split, every product in light, with noise"
Lit = tuple[Array, Mapping[str, Tally]]


def variants(network: Network, machine: PhotonicAttention) -> dict[str, Lit]:
    """Answers, and what was small, with one source of error after another."""
    quiet = replace(machine, encoding_noise=0.0, additive_noise=0.0)
    machines = {
        "operands of 8 bits alone": replace(quiet, low_bits=FINE, high_bits=FINE),
        "and converters of 8 bits": replace(quiet, low_bits=8),
        QUIET: quiet,
        NOISY: machine,
        "converters of 8 bits, with noise": replace(machine, low_bits=8),
        FOUR: replace(machine, low_bits=4, high_bits=4),
        "split, one scale a tile, without noise": replace(quiet, scale_of="tile"),
        TILE: replace(machine, scale_of="tile"),
    }
    found = {name: network.lit(each) for name, each in machines.items()}
    found["split, every product in light, without noise"] = network.lit(quiet, every=True)
    return found | {EVERY: network.lit(machine, every=True)}


def sentences(read: Network, machine: PhotonicAttention, tokens: int) -> Iterator[Shown]:
    """MiniLM's embeddings; and another text, whose shares differ."""
    exact, found = read.exact(), variants(read, machine)
    near = {name: cosines(exact, embeddings) for name, (embeddings, _) in found.items()}
    for key, name in (("quiet", QUIET), ("noisy", NOISY)):
        each = near[name]
        yield Finding(key, each.min(), "simulated", len(each), (each.min(), each.max()), "interval: all passages")
    yield Finding("four", near[NOISY].mean() - near[FOUR].mean(), "simulated", len(exact))
    yield Table("MiniLM: cosine of its embeddings with those in float32", ("attention in light", "mean", "least", "small results, %"),
                [(name, each.mean(), each.min(), _small(found[name])) for name, each in near.items()])  # fmt: skip
    other = encoder(len(read.samples), tokens, skipped=len(read.samples)).lit(machine)[1]
    rows = found[NOISY][1]
    yield Finding(
        "changes", all((rows[name].large != other[name].large).any() for name in rows), "simulated", len(rows)
    )
    yield from _layers("MiniLM", found, {"other text": other})
    yield _heads("MiniLM", rows)


@dataclass(frozen=True, eq=False)
class Vision:
    """A transformer that was trained on digits, and digits that it has not seen."""

    network: Network
    labels: NDArray[np.int64]

    def right_percent(self, logits: Array) -> float:
        """How many answers are."""
        return float(100 * (logits.argmax(1) == self.labels).mean())


def vision(path: Path, train: Digits, test: Digits, epochs: int, seed: int) -> Vision:
    """Trained here.

    Raises:
        MissingExtra: torch is not installed.
    """
    from shoal.graph import load
    from shoal.study._digits_transformer import transformer

    graph = load(transformer(path, train, epochs, len(test.labels), seed=seed))
    return Vision(Network(graph, [{"x": test.images[:, 0]}], "y"), test.labels)


def pictures(seen: Vision, machine: PhotonicAttention) -> Iterator[Shown]:
    """What of the vision transformer's answers is right."""
    exact, found = seen.right_percent(seen.network.exact()), variants(seen.network, machine)
    right = {name: seen.right_percent(logits) for name, (logits, _) in found.items()}
    yield Finding("digits", exact - right[NOISY], "simulated", len(seen.labels), why=f"{exact:.1f} % in float32")
    yield Finding("digits_four", right[NOISY] - right[FOUR], "simulated", len(seen.labels))
    yield Table("A vision transformer on digits", ("attention in light", "right, %", "small results, %"),
                [("none: float32", exact, None), *((name, each, _small(found[name])) for name, each in right.items())],
                note=f"{len(seen.labels)} pictures of 8 × 8 pixels that it was not trained with, in patches of 2 × 2")  # fmt: skip
    yield from _layers("Vision transformer", found, {})


def _small(lit: Lit) -> float | None:
    """Nothing where there is no split, so that nothing was large."""
    return together(lit[1].values()) if any(each.large.any() for each in lit[1].values()) else None


def _layers(what: str, found: Mapping[str, Lit], others: Mapping[str, Mapping[str, Tally]]) -> Iterator[Shown]:
    """Shares of small results by layer, those of projections where they are in light; of attention as a picture."""
    rows, tiles, every = (found[name][1] for name in (NOISY, TILE, EVERY))
    asked: list[tuple[str, str, Mapping[str, Tally]]] = [
        (f"{kind}{added}", end, tallies)
        for end, kind in ATTENTION.items()
        for added, tallies in (("", rows), (", one scale a tile", tiles), *((f", {name}", each) for name, each in others.items()))
    ]  # fmt: skip
    projections = dict.fromkeys(name.partition(".")[2] for name in every if not name.endswith(tuple(ATTENTION)))
    asked += [(f"{end.partition('.')[0]}, every product in light", f".{end}", every) for end in projections]
    percent = {
        name: [each.small_percent for op, each in tallies.items() if op.endswith(end)]
        for name, end, tallies in asked
    }
    layers = [str(layer) for layer in range(len(rows) // len(ATTENTION))]
    title = f"{what}: results that converters of 4 bits hold"
    yield Table(title, ("product", *(f"layer {layer}, %" for layer in layers)),
                [(name, *values) for name, values in percent.items()])  # fmt: skip
    yield Chart(title, "layer", "small results, %", tuple(Series(name, layers, values) for name, values in percent.items()
                                                          if name.partition(",")[0] in ATTENTION.values()), kind="bars")  # fmt: skip


def _heads(what: str, rows: Mapping[str, Tally]) -> Chart:
    """Every head's share."""
    series = [Series(name, [str(head) for head in range(len(each.large))], each.heads_percent.tolist())
              for name, each in rows.items()]  # fmt: skip
    return Chart(f"{what}: results that converters of 4 bits hold, by head", "head", "small results, %", tuple(series),
                 kind="heat", note="scores: queries by keys; taken: shares by values")  # fmt: skip

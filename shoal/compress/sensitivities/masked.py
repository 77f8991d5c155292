"""KL divergence of the network's answers with a random part of one layer coded: a few masks, a few items.

Source: OHQ, arXiv 2309.01945, mask-guided estimation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.layers import Layer, Matrix, weights_of
from shoal.compress.sensitivities._rest import Run, divergence, outputs_after, rests
from shoal.compress.sensitivities.contract import Arrays, Loss, needed, rounded
from shoal.errors import InputError
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Masked:
    """The mean over random masks m of KL(p ‖ p') with m⊙W + (1 − m)⊙Q(W) in the layer."""

    masks: int = 4  # R
    keep: float = 0.5  # share of the weights that stay as they are
    items: int = 8  # samples looked at, the first ones; 0: all
    seed: int = 0  # of the masks

    needs_samples = True

    def __post_init__(self) -> None:
        if self.masks < 1 or not 0 <= self.keep < 1:
            raise InputError("no such masks", where="masked", needed="at least one, that keeps from 0 to below 1",
                             had=f"{self.masks}, {self.keep:g}")  # fmt: skip

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`."""
        for layer, run in rests(graph, layers, needed(samples, "masked", self.items), threads):
            yield layer, self._loss(graph, layer, weights_of(graph, layer), run)

    def _loss(self, graph: Graph, layer: Layer, weights: Matrix, run: Run) -> Loss:
        outputs, plain = outputs_after(graph, layer), run(weights)
        source = np.random.default_rng([self.seed, graph.position[layer.op]])
        kept = [source.random(weights.shape) < self.keep for _ in range(self.masks)]

        def loss(name: str) -> float:
            coded = rounded(layer, weights, make(name))
            each = [divergence(graph, outputs, plain, run(np.where(mask, weights, coded))) for mask in kept]
            return float(np.mean(each))

        return loss

"""The Fisher information of each weight times its error squared: ½·Σ F·(W − Q(W))²; needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.layers import Layer, weights_of
from shoal.compress.sensitivities._slopes import Slopes
from shoal.compress.sensitivities.contract import Arrays, Loss, needed, rounded
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Fisher:
    """F is the mean square of the log-likelihood's gradient, of classes drawn by the network's own probabilities."""

    items: int = 32  # samples looked at, the first ones; 0: all
    draws: int = 1  # of a class, for each sample
    seed: int = 0  # of the draws

    needs_samples = True

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`; torch uses as many threads as it is set to."""
        squares = self._squares(graph, layers, needed(samples, "fisher", self.items))
        for layer in layers:
            yield layer, _loss(graph, layer, layer.matrix(squares[layer.weight]))

    def _squares(self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        slopes = Slopes(graph, layers)
        sums = {name: np.zeros(tuple(leaf.shape)) for name, leaf in slopes.leaves.items()}
        for number, sample in enumerate(samples):
            for draw in range(self.draws):
                logs = slopes.logs(sample)
                drawn = slopes.drawn(logs, hash((self.seed, number, draw)) & 0x7FFFFFFF)
                for name, slope in zip(sums, slopes.of(logs.gather(1, drawn).sum()), strict=True):
                    sums[name] += slope.numpy().astype(np.float64) ** 2
        return {name: each / (len(samples) * self.draws) for name, each in sums.items()}


def _loss(graph: Graph, layer: Layer, fisher: NDArray[Any]) -> Loss:
    weights = weights_of(graph, layer)

    def loss(name: str) -> float:
        lost = rounded(layer, weights, make(name)) - weights
        return 0.5 * float((fisher * lost.astype(np.float64) ** 2).sum())

    return loss

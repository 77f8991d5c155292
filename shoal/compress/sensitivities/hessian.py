"""The mean curvature of each layer times its error squared; needs torch. Source: HAWQ-V2, arXiv 1911.03852."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.layers import Layer, weights_of
from shoal.compress.sensitivities._slopes import Slopes
from shoal.compress.sensitivities.contract import Arrays, Loss, needed, rounded
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Hessian:
    """tr(H)/n · ‖W − Q(W)‖², the trace by Hutchinson's estimate vᵀHv over random signs v.

    H is that of the cross-entropy with the network's own probabilities, so that no labels are needed.
    """

    items: int = 8  # samples looked at, the first ones; 0: all
    probes: int = 4  # random v for each sample
    seed: int = 0  # of v

    needs_samples = True

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`; torch uses as many threads as it is set to."""
        means = self._means(graph, layers, needed(samples, "hessian", self.items))
        for layer in layers:
            yield layer, _loss(graph, layer, means[layer.weight])

    def _means(self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays]) -> dict[str, float]:
        slopes = Slopes(graph, layers)
        sums = dict.fromkeys(slopes.leaves, 0.0)
        for number, sample in enumerate(samples):
            logs = slopes.logs(sample)
            firsts = slopes.of(-(logs.detach().exp() * logs).sum(), create=True)
            for probe in range(self.probes):
                signs = list(slopes.signs((self.seed * 1009 + number) * 1009 + probe))
                product = sum((first * sign).sum() for first, sign in zip(firsts, signs, strict=True))
                seconds = slopes.of(product, keep=True)
                for name, second, sign in zip(sums, seconds, signs, strict=True):
                    sums[name] += float((second * sign).sum())
        count = len(samples) * self.probes
        return {name: sums[name] / count / leaf.numel() for name, leaf in slopes.leaves.items()}


def _loss(graph: Graph, layer: Layer, mean: float) -> Loss:
    weights = weights_of(graph, layer)

    def loss(name: str) -> float:
        lost = rounded(layer, weights, make(name)) - weights
        return max(mean, 0.0) * float((lost.astype(np.float64) ** 2).sum())

    return loss

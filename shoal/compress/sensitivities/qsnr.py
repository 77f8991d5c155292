"""The energy of the error of a layer's weights over that of the weights: 10^(−QSNR/10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shoal.compress.layers import Layer, Matrix, weights_of
from shoal.compress.sensitivities.contract import Arrays, Loss, rounded
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Qsnr:
    """‖W − Q(W)‖² over ‖W‖²; needs no samples."""

    needs_samples = False

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`."""
        for layer in layers:
            yield layer, _loss(layer, weights_of(graph, layer))


def _loss(layer: Layer, weights: Matrix) -> Loss:
    def loss(name: str) -> float:
        lost = rounded(layer, weights, make(name)) - weights
        return float((lost**2).sum()) / max(float((weights**2).sum()), 1e-30)

    return loss

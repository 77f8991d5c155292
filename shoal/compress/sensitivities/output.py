"""The energy of the error of a layer's outputs over that of its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.calibrate import Calibration
from shoal.compress.contract import Seen
from shoal.compress.layers import Layer, Matrix, layers_of, weights_of
from shoal.compress.sensitivities.contract import Arrays, Loss, rounded
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Output:
    """‖(W − Q(W))·x‖² over ‖W·x‖², on what the layer sees in the float network."""

    needs_samples = True

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`."""
        wanted = {layer.op for layer in layers}
        for together, seen in Calibration(graph, samples, threads, alone=True).walk(layers_of(graph)):
            for layer in together:
                if layer.op in wanted:
                    yield layer, _loss(layer, weights_of(graph, layer), seen)


def _loss(layer: Layer, weights: Matrix, seen: Seen) -> Loss:
    whole = _energy(layer, weights, seen)

    def loss(name: str) -> float:
        return _energy(layer, rounded(layer, weights, make(name), seen) - weights, seen) / max(whole, 1e-30)

    return loss


def _energy(layer: Layer, matrix: Matrix, seen: Seen) -> float:
    return sum(seen.energy(part, group) for group, part in enumerate(np.split(matrix, layer.groups)))

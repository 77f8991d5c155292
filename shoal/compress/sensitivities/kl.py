"""KL divergence of the network's answers, as they are ‖ with one layer coded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shoal.compress.layers import Layer, Matrix, weights_of
from shoal.compress.sensitivities._rest import Run, divergence, outputs_after, rests
from shoal.compress.sensitivities.contract import Arrays, Loss, needed, rounded
from shoal.formats import make
from shoal.graph import Graph


@dataclass(frozen=True)
class Kl:
    """All of a layer is coded, and the network run from there on. Source: OHQ, arXiv 2309.01945, with ρ = 0."""

    items: int = 0  # samples looked at, the first ones; 0: all

    needs_samples = True

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`."""
        for layer, run in rests(graph, layers, needed(samples, "kl", self.items), threads):
            yield layer, _loss(graph, layer, weights_of(graph, layer), run)


def _loss(graph: Graph, layer: Layer, weights: Matrix, run: Run) -> Loss:
    outputs, plain = outputs_after(graph, layer), run(weights)

    def loss(name: str) -> float:
        return divergence(graph, outputs, plain, run(rounded(layer, weights, make(name))))

    return loss

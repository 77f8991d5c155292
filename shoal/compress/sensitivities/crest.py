"""What theory says of a layer's weights from their crest factor; nothing is coded.

Source: INT v.s. FP, arXiv 2510.25602: a whole number of b bits loses 4.78 + 6.02·b − 20·log10(crest factor) dB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.layers import Layer, Matrix, weights_of
from shoal.compress.sensitivities.contract import Arrays, Loss
from shoal.errors import InputError
from shoal.formats import make
from shoal.formats.integer import Integer
from shoal.graph import Graph


@dataclass(frozen=True)
class Crest:
    """The share of the weights' energy that whole numbers lose, by the largest magnitude of each block.

    A step is 2·(largest magnitude)/2^b, and the error's energy a twelfth of its square for each value.
    """

    needs_samples = False

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """See `Sensitivity.measures`."""
        for layer in layers:
            yield layer, _loss(layer, weights_of(graph, layer))


def _loss(layer: Layer, weights: Matrix) -> Loss:
    energy = max(float((weights**2).sum()), 1e-30)

    def loss(name: str) -> float:
        form = make(name)
        if not isinstance(form, Integer):
            raise InputError("the crest factor tells of whole numbers alone", where=layer.op, had=name, hint="qsnr")
        parts = [_blocks(part, form.group) for part in np.split(weights, layer.groups)]
        largest = sum(float((np.abs(part).max(axis=1) ** 2).sum()) * part.shape[1] for part in parts)
        return float(largest / (3 * 4.0**form.bits) / energy)

    return loss


def _blocks(weights: Matrix, group: int) -> Matrix:
    """(blocks, values of each)."""
    columns = weights.size if group < 0 else group or weights.shape[1]
    return weights.reshape(-1, columns)

"""What can be said of a layer before it is coded: whether its format fits it, its weights are numbers, its samples enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shoal.compress.contract import Seen, Technique
from shoal.compress.layers import Layer, weights_of
from shoal.errors import InputError
from shoal.formats import make
from shoal.graph import Graph

LEAST_PLACES = 2  # that a layer is seen at: one says nothing of how its columns go together


def fitting(layers: Sequence[Layer], formats: Mapping[str, str]) -> None:
    """Refuse groups that do not divide a layer's columns, before any work is done.

    Args:
        layers: that are to be coded.
        formats: of them, by op.

    Raises:
        InputError: there is such a layer; names the nearest group that divides.
    """
    for layer in layers:
        group, columns = make(formats[layer.op]).group, layer.shape[1]
        if group > 0 and columns % group:
            near = min(
                (each for each in range(1, columns + 1) if columns % each == 0), key=lambda each: abs(each - group)
            )
            raise InputError(f"groups of {group} do not divide {columns} columns", where=layer.op,
                             had=formats[layer.op],
                             hint=f"the nearest that do: {near}; or --skip {layer.op}")  # fmt: skip


def finite(graph: Graph, layers: Sequence[Layer]) -> None:
    """Refuse weights that are no numbers; they are read one layer at a time.

    Raises:
        InputError: there are some; says how many, and where the first stands.
    """
    for layer in layers:
        weights = weights_of(graph, layer)
        wrong = np.argwhere(~np.isfinite(weights))
        if len(wrong):
            row, column = wrong[0]
            raise InputError("weights that are not finite", where=layer.op, needed="numbers",
                             had=f"{len(wrong)} of {weights.size}, the first {weights[row, column]:g} in row {row}, "
                             f"column {column}", hint=f"mend the model, or --skip {layer.op}")  # fmt: skip


def sufficient(layer: Layer, seen: Seen | None, chain: Sequence[Technique]) -> str:
    """A remark where the samples show less than the layer's columns.

    Raises:
        InputError: they show it at one place only, and a technique looks at how columns go together.
    """
    if seen is None or not any(each.needs_samples for each in chain):
        return ""
    if seen.places < LEAST_PLACES:
        raise InputError("the calibration set is too small", where=layer.op, needed=f"{LEAST_PLACES} places at least",
                         had=f"{seen.places}", hint="more samples, or --with rtn, which needs none")  # fmt: skip
    return f"seen at {seen.places} places, {layer.shape[1]} columns" if seen.places < layer.shape[1] else ""

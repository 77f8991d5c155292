"""A format for each layer: the least loss for so many bits, chosen by an integer programme.

The loss of a layer is the energy of its outputs' error over that of its outputs, on samples, each weight rounded to the
nearest value; losses are added up. Source of the programme: OHQ, arXiv 2309.01945.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.compress.calibrate import Arrays, Calibration
from shoal.compress.contract import Seen
from shoal.compress.layers import Layer, layers_of, weights_of
from shoal.errors import InputError, LimitError
from shoal.formats import Format, make, quantise, restored
from shoal.graph import Graph
from shoal.search import Milp


@dataclass(frozen=True)
class Choice:
    """A layer in a format."""

    format: str
    loss: float  # of its outputs: the error's energy over the whole
    bits: int  # stored, of the whole layer


def choices(
    graph: Graph, samples: Sequence[Arrays], formats: Sequence[str], threads: int = 1
) -> dict[str, tuple[Choice, ...]]:
    """What each layer loses in each of the formats that fit it, by op, in the float network.

    Raises:
        InputError: a layer fits none of the formats, or samples are missing or of the wrong shape.
    """
    forms = {name: make(name) for name in formats}
    found: dict[str, tuple[Choice, ...]] = {}
    calibration = Calibration(graph, samples, threads)
    for together, seen in calibration.walk(layers_of(graph)):
        for layer in together:
            found[layer.op] = tuple(_choices(graph, layer, forms, seen))
            if not found[layer.op]:
                raise InputError("the layer fits none of the formats", where=layer.op, needed=f"{layer.shape[1]} columns",
                                 had=", ".join(formats))  # fmt: skip
    return found


def allocate(options: Mapping[str, Sequence[Choice]], bits_per_weight: float, weights: int) -> dict[str, str]:
    """The format of each layer: the least loss of all, with at most so many bits a weight on average.

    Args:
        options: of each layer, by op.
        bits_per_weight: parameters included.
        weights: of all these layers.

    Raises:
        LimitError: even the smallest formats need more.
        MissingExtra: highspy is not installed.
    """
    least = sum(min(each.bits for each in some) for some in options.values()) / weights
    if least > bits_per_weight:
        raise LimitError(
            "the formats do not go so low", needed=f"{bits_per_weight:g} bits a weight", had=f"{least:.3f} at least"
        )
    programme = Milp()
    columns = {op: [programme.binary(cost=each.loss) for each in some] for op, some in options.items()}
    for each in columns.values():
        programme.row([(column, 1.0) for column in each], 1, 1)
    sizes = [
        (column, each.bits / weights)
        for op, some in options.items()
        for column, each in zip(columns[op], some, strict=True)
    ]
    programme.row(sizes, 0, bits_per_weight)
    solution = programme.solve()
    return {op: some[int(np.argmax(solution.values[columns[op]]))].format for op, some in options.items()}


def mixed(
    graph: Graph,
    samples: Sequence[Arrays],
    formats: Sequence[str],
    bits_per_weight: float,
    skip: Sequence[str] = (),
    threads: int = 1,
) -> dict[str, str]:
    """A format for each layer of `graph` but those to skip; raises like `choices` and `allocate`."""
    sizes = {layer.op: layer.shape[0] * layer.shape[1] for layer in layers_of(graph) if layer.op not in skip}
    options = choices(graph, samples, formats, threads)
    return allocate({op: options[op] for op in sizes}, bits_per_weight, sum(sizes.values()))


def _choices(graph: Graph, layer: Layer, forms: Mapping[str, Format], seen: Seen) -> list[Choice]:
    wanted = np.split(weights_of(graph, layer), layer.groups)
    found = []
    for name, form in forms.items():
        if form.group > 0 and layer.shape[1] % form.group:
            continue
        lost = whole = 0.0
        for group, own in enumerate(wanted):
            error = restored(form, quantise(form, own, seen.importance(group))) - own
            lost += seen.energy(error, group)
            whole += seen.energy(own, group)
        part = (layer.shape[0] // layer.groups, layer.shape[1])
        found.append(Choice(name, lost / max(whole, 1e-30), form.stored_bits(part) * layer.groups))
    return found

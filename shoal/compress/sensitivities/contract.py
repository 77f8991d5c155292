"""What a measure of sensitivity is: a layer and a format → what the network loses if that layer alone is coded so.

Losses of one measure compare with one another, over layers and formats; 0 is nothing lost. Weights are rounded to the
nearest value, whichever technique will code them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen
from shoal.compress.layers import Layer, Matrix
from shoal.errors import InputError
from shoal.formats import Format, quantise, restored
from shoal.graph import Graph

Arrays = Mapping[str, NDArray[Any]]
Loss = Callable[[str], float]  # of a format, by its name


class Sensitivity(Protocol):
    """A technique of `compress/sensitivities`."""

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def measures(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Arrays], threads: int = 1
    ) -> Iterator[tuple[Layer, Loss]]:
        """Each layer with what the network loses in a format; a layer's answers hold until the next layer is taken.

        Raises:
            InputError: samples are needed and missing, or of the wrong shape; the measure has no answer for a format.
            MissingExtra: it stands on a library that is not installed.
        """


def rounded(layer: Layer, weights: Matrix, form: Format, seen: Seen | None = None) -> Matrix:
    """W with each weight at the nearest value; with `seen`, scales are fitted to the columns that count."""
    parts = enumerate(np.split(weights, layer.groups))
    return np.concatenate(
        [restored(form, quantise(form, own, seen.importance(group) if seen else None)) for group, own in parts]
    )


def needed(samples: Sequence[Arrays], measure: str, most: int = 0) -> Sequence[Arrays]:
    """The first `most` samples, all if that is 0.

    Raises:
        InputError: there are none.
    """
    if not samples:
        raise InputError("no calibration samples", where=measure, hint="--samples FILE")
    return samples[:most] if most else samples

"""What an item is started with: the arrays that the client's edges carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.program import CLIENT, Edge, Program

Array = NDArray[Any]
Inputs = Callable[[int], Mapping[str, Array]]  # item → arrays by the name of the graph's input


def check_inputs(program: Program, arrays: Mapping[str, Array]) -> None:
    """Refuse inputs that `program` cannot start an item with, before anything is sent.

    Raises:
        InputError: an array is missing, or has the wrong type or shape.
    """
    for edge in program.edges:
        if edge.source == CLIENT:
            fitting(arrays, edge, program.sizes)


def fitting(arrays: Mapping[str, Array], edge: Edge, sizes: Mapping[str, int]) -> Array:
    """The array for `edge`, whose shape must be the edge's at `sizes`; a size that has a name may be smaller.

    Raises:
        InputError: it is missing, or has the wrong type or shape.
    """
    if edge.tensor not in arrays:
        raise InputError(f"no input '{edge.tensor}' was given", had=", ".join(arrays) or "none")
    array, bound = arrays[edge.tensor], edge.spec.bound(sizes)
    if str(array.dtype) != edge.spec.dtype:
        raise InputError(f"input '{edge.tensor}' has the wrong type", needed=edge.spec.dtype, had=str(array.dtype))
    fits = len(array.shape) == len(bound) and all(
        actual == size if isinstance(size, int) else actual <= limit
        for actual, size, limit in zip(array.shape, edge.spec.shape, bound, strict=True)
    )
    if not fits:
        raise InputError(
            f"input '{edge.tensor}' has the wrong shape", needed=str(list(bound)), had=str(list(array.shape))
        )
    return np.asarray(array, order="C")  # unlike ascontiguousarray it leaves a scalar a scalar

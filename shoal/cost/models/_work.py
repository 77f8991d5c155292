"""What each op of a graph has to compute and to move, as arrays over the ops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph, Op

PICKS_ROWS = frozenset(("Gather", "GatherElements", "GatherND"))  # read of their weight only what they give


@dataclass(frozen=True, eq=False)
class Work:
    """Both arrays have shape (number of ops,)."""

    flop: NDArray[np.float64]  # one multiply-accumulate counts two
    bytes: NDArray[np.float64]  # activations in and out, and weights


def work_of(graph: Graph) -> Work:
    """The work of every op of `graph`, in its order."""
    return Work(
        np.array([2.0 * op.macs for op in graph.ops]),
        np.array([float(_moved_bytes(op)) for op in graph.ops]),
    )


def _moved_bytes(op: Op) -> int:
    return op.read_bytes + op.written_bytes + met_bytes(op)


def met_bytes(op: Op) -> int:
    """Of its weights, what the op reads."""
    if op.met_bytes is not None:
        return op.met_bytes
    return op.written_bytes if op.kind in PICKS_ROWS and op.weights else op.weights_bytes

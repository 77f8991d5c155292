"""Outliers spread over their block, in activations and weights alike.

Source: QuaRot, arXiv 2404.00456; in blocks: INT v.s. FP, arXiv 2510.25602.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.compress.layers import Layer
from shoal.compress.rotate import rotated
from shoal.errors import InputError
from shoal.graph import Graph


@dataclass(frozen=True)
class Rotate:
    """x·H and W·H instead of x and W, with a Hadamard matrix of random signs; the network computes x·H itself."""

    block: int = (
        32  # columns that are turned together, a power of two; 0: the largest that divides a layer's columns
    )
    seed: int = 0  # of the signs

    needs_samples = False

    def turned(self, graph: Graph, layers: Sequence[Layer]) -> Graph:
        """See `Turner.turned`. Convolutions, and layers whose columns are no whole blocks, stay as they are."""
        fit = [each for each in layers if each.kind != "Conv" and each.shape[1] % (self.block or 1) == 0]
        if not fit:
            needed = (
                f"a MatMul or Gemm with columns in blocks of {self.block}" if self.block else "a MatMul or Gemm"
            )
            raise InputError("there is no layer to rotate", where="rotate", needed=needed)
        return rotated(graph, fit, self.block, self.seed)

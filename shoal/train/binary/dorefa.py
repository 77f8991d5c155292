"""Signs with the mean magnitude of weights: DoReFa-Net at one bit, arXiv 1606.06160."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.train.binary._plain import Plain


@dataclass(frozen=True)
class Dorefa(Plain):
    """α of each output, the mean of |w|.

    One an output, as in public code; the paper has one a layer.
    """

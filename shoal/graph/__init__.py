"""What a model is, where it may be cut, and the pieces cut from it."""

from shoal.graph.load import load
from shoal.graph.values import Graph, Op, Tensor, Weight

__all__ = ["Graph", "Op", "Tensor", "Weight", "load"]

"""What a model is, counted, cut and written as segments."""

from shoal.graph.values import Graph, Op, Tensor, Weight

__all__ = ["Graph", "Op", "Tensor", "Weight"]

"""Ways to train a product of signs: what each makes of weights, of inputs and of the scale."""

from shoal.train.binary.contract import Algorithm, Layer

__all__ = ["Algorithm", "Layer"]

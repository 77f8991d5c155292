"""Networks made smaller: what formats lose, and what to do about it."""

from shoal.compress.contract import Seen, Technique, Work
from shoal.compress.layers import Layer, layers_of
from shoal.compress.pipeline import Compressed, LayerLoss, compress, opened
from shoal.compress.theory import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer

__all__ = [
    "PAIRS",
    "Compressed",
    "Contest",
    "Layer",
    "LayerLoss",
    "Seen",
    "Technique",
    "Work",
    "compress",
    "crossover",
    "layers_of",
    "opened",
    "qsnr_floating",
    "qsnr_integer",
]

"""Networks made smaller: what formats lose, and what to do about it."""

from shoal.compress.allocate import Choice, allocate, choices, mixed
from shoal.compress.contract import Seen, Technique, Work
from shoal.compress.layers import Layer, layers_of
from shoal.compress.pipeline import Compressed, LayerLoss, compress, ends, opened
from shoal.compress.theory import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer

__all__ = [
    "PAIRS",
    "Choice",
    "Compressed",
    "Contest",
    "Layer",
    "LayerLoss",
    "Seen",
    "Technique",
    "Work",
    "allocate",
    "choices",
    "compress",
    "crossover",
    "ends",
    "layers_of",
    "mixed",
    "opened",
    "qsnr_floating",
    "qsnr_integer",
]

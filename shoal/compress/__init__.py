"""Networks made smaller: what formats lose, and what to do about it."""

from shoal.compress.allocate import Choice, allocate, choices, mixed
from shoal.compress.contract import Equaliser, Reading, Seen, Technique, Turner, Work
from shoal.compress.equalise import Equalised, equalise
from shoal.compress.layers import Layer, layers_of, weights_of
from shoal.compress.pipeline import Compressed, LayerLoss, compress, ends, opened
from shoal.compress.rotate import rotated, turning
from shoal.compress.theory import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer

__all__ = [
    "PAIRS",
    "Choice",
    "Compressed",
    "Contest",
    "Equalised",
    "Equaliser",
    "Layer",
    "LayerLoss",
    "Reading",
    "Seen",
    "Technique",
    "Turner",
    "Work",
    "allocate",
    "choices",
    "compress",
    "crossover",
    "ends",
    "equalise",
    "layers_of",
    "mixed",
    "opened",
    "qsnr_floating",
    "qsnr_integer",
    "rotated",
    "turning",
    "weights_of",
]

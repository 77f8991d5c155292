"""Networks made smaller: what formats lose, and what to do about it."""

from shoal.compress._probes import FLOAT
from shoal.compress.allocate import Budget, Choice, allocate, choices, total
from shoal.compress.contract import Equaliser, Reading, Rounder, Rounding, Seen, Technique, Turner, Weigher, Work
from shoal.compress.costs import Costs, OpCost, measured
from shoal.compress.datafree import Made, made
from shoal.compress.equalise import Equalised, equalise
from shoal.compress.layers import Layer, layers_of, weights_of
from shoal.compress.pipeline import Compressed, LayerLoss, compress, ends, opened
from shoal.compress.recorded import Recorder, spread
from shoal.compress.rotate import rotated, turning
from shoal.compress.theory import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer
from shoal.compress.ties import ties_of
from shoal.compress.weigh import Mix, Weighed, mixed, weighed

__all__ = [
    "FLOAT",
    "PAIRS",
    "Budget",
    "Choice",
    "Compressed",
    "Contest",
    "Costs",
    "Equalised",
    "Equaliser",
    "Layer",
    "LayerLoss",
    "Made",
    "Mix",
    "OpCost",
    "Reading",
    "Recorder",
    "Rounder",
    "Rounding",
    "Seen",
    "Technique",
    "Turner",
    "Weighed",
    "Weigher",
    "Work",
    "allocate",
    "choices",
    "compress",
    "crossover",
    "ends",
    "equalise",
    "layers_of",
    "made",
    "measured",
    "mixed",
    "opened",
    "qsnr_floating",
    "qsnr_integer",
    "rotated",
    "spread",
    "ties_of",
    "total",
    "turning",
    "weighed",
    "weights_of",
]

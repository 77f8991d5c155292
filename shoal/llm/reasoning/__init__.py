"""Reasoning under a budget: length control, votes, latency and energy as formulas, and the configurations worth having."""

from shoal.llm.reasoning.boards import Roofline, read_bytes
from shoal.llm.reasoning.control import Control, Steering
from shoal.llm.reasoning.fits import akaike, huber, least_squares, mape
from shoal.llm.reasoning.frontier import Choice, Frontier, Option, separable
from shoal.llm.reasoning.latency import (
    TILE,
    Decode,
    Latency,
    Prefill,
    Staircase,
    fit_decode,
    fit_prefill,
    staircase,
)
from shoal.llm.reasoning.marks import Marks
from shoal.llm.reasoning.power import Energy, Power, fit_power
from shoal.llm.reasoning.sampling import Chains, Drawn, chains
from shoal.llm.reasoning.score import NONE, Score, scored, voted, wilson
from shoal.llm.reasoning.timing import Clock, Metered, Read, Token

__all__ = [
    "NONE",
    "TILE",
    "Chains",
    "Choice",
    "Clock",
    "Control",
    "Decode",
    "Drawn",
    "Energy",
    "Frontier",
    "Latency",
    "Marks",
    "Metered",
    "Option",
    "Power",
    "Prefill",
    "Read",
    "Roofline",
    "Score",
    "Staircase",
    "Steering",
    "Token",
    "akaike",
    "chains",
    "fit_decode",
    "fit_power",
    "fit_prefill",
    "huber",
    "least_squares",
    "mape",
    "read_bytes",
    "scored",
    "separable",
    "staircase",
    "voted",
    "wilson",
]

"""What a block format loses, from one number: the crest factor of a block, its largest magnitude over its RMS.

Source: INT v.s. FP, arXiv 2510.25602. Values within a block are taken as normal. QSNR is −10·log10 of the error's
energy over the values', in dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoal.errors import InputError, MissingExtra

ROUNDED_UP = 1.5  # what a scale that is a power of two loses on average: it is up to twice too large
LEAST_CREST, MOST_CREST = 1.0, 60.0


@dataclass(frozen=True)
class Contest:
    """Whole numbers against floating-point ones in the same blocks."""

    integer: str  # names of formats
    floating: str
    bits: int
    exponent: int
    mantissa: int
    largest: float  # value of the floating-point element
    group: int
    power_of_two: bool  # scales: else E4M3, and the block's largest value is kept exactly
    published: float  # crest factor at which they are alike


PAIRS = (
    Contest("mxint8", "mxfp8", 8, 4, 3, 448.0, 32, True, 7.55),
    Contest("mxint6", "mxfp6", 6, 2, 3, 7.5, 32, True, 1.96),
    Contest("mxint4", "mxfp4", 4, 2, 1, 6.0, 32, True, 2.04),
    Contest("nvint4", "nvfp4", 4, 2, 1, 6.0, 16, False, 2.39),
)


def qsnr_integer(contest: Contest, crest: float) -> float:
    """Of the whole numbers, dB, for blocks of this crest factor (at least 1)."""
    found = 4.78 + 6.02 * contest.bits - 20 * math.log10(_checked(crest))
    if contest.power_of_two:
        return found - 20 * math.log10(ROUNDED_UP)
    return found + 10 * math.log10(contest.group / (contest.group - 1))


def qsnr_floating(contest: Contest, crest: float) -> float:
    """Of the floating-point numbers, dB: normal ones lose a share of themselves, subnormal ones a fixed step."""
    rounded = ROUNDED_UP if contest.power_of_two else 1.0
    bias = 2 ** (contest.exponent - 1) - 1
    relative = 1 / (24 * 2.0 ** (2 * contest.mantissa))
    step = 2.0 ** (2 * (1 - bias - contest.mantissa)) / (12 * contest.largest**2)
    edge = rounded * _checked(crest) * 2.0 ** (1 - bias) / contest.largest  # of the subnormal ones, in RMS
    below = math.erf(edge / math.sqrt(2))
    normal = 1 - (below - 2 * edge * math.exp(-edge * edge / 2) / math.sqrt(2 * math.pi))
    if not contest.power_of_two:
        normal -= crest * crest / contest.group
    return -10 * math.log10(max(1e-12, relative * normal + step * (rounded * crest) ** 2 * below))


def crossover(contest: Contest) -> float:
    """The crest factor below which whole numbers lose less, by root search.

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.optimize import brentq
    except ImportError:
        raise MissingExtra("scipy", "fit") from None

    def lead(crest: float) -> float:
        return qsnr_integer(contest, crest) - qsnr_floating(contest, crest)

    most = MOST_CREST if contest.power_of_two else math.sqrt(contest.group) - 1e-6
    return float(brentq(lead, LEAST_CREST, most, xtol=1e-10))


def _checked(crest: float) -> float:
    if not crest >= 1:
        raise InputError("no crest factor", needed="at least 1: the largest value is no smaller than the RMS",
                         had=f"{crest:g}")  # fmt: skip
    return crest

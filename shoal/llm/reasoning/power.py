"""Power by length, and energy: constant up to a threshold, then by the logarithm, or constant throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from shoal.errors import InputError
from shoal.llm.reasoning.fits import akaike
from shoal.llm.reasoning.latency import Latency

JOULES_PER_KWH = 3.6e6
BELIEVED = 4.0  # by so much Akaike's criterion has to be lower: the threshold is the best of many


@dataclass(frozen=True)
class Power:
    """W at a length: `flat_w` up to the threshold, from there on `flat_w + slope_w · ln(length / threshold)`.

    That is α + β·ln(length) with α chosen so that it does not jump.
    """

    flat_w: float
    slope_w: float = 0.0  # β; 0: constant throughout
    threshold: float = inf  # tokens

    def watts(self, tokens: float) -> float:
        """Drawn at this length."""
        return self.flat_w + (self.slope_w * log(tokens / self.threshold) if tokens > self.threshold else 0.0)


def fit_power(tokens: Sequence[float], watts: Sequence[float]) -> Power:
    """The better of both forms by Akaike's criterion; thresholds tried are the lengths themselves.

    The second form has to be better by BELIEVED.

    Raises:
        InputError: no points, or lengths below 1.
    """
    x, y = np.asarray(tokens, np.float64), np.asarray(watts, np.float64)
    if not len(x) or x.min() < 1:
        raise InputError("power is fitted to lengths from 1 token on", had=f"{len(x)} points")
    best, least = Power(float(y.mean())), akaike(y, np.full(len(y), y.mean()), 1) - BELIEVED
    for threshold in np.unique(x)[:-1]:
        rising = np.log(np.maximum(x / threshold, 1))
        (flat, slope), *_ = np.linalg.lstsq(np.stack([np.ones(len(x)), rising], -1), y, rcond=None)
        found = akaike(y, flat + slope * rising, 3)
        if found < least:
            best, least = Power(float(flat), float(slope), float(threshold)), found
    return best


@dataclass(frozen=True)
class Energy:
    """E = P_p·T_p + P_d·T_d; each power by the length of its own phase."""

    latency: Latency
    prefill: Power
    decode: Power

    def joules(self, prompt: int, tokens: int, texts: int = 1) -> float:
        """Of a prompt and so many tokens after it."""
        return self.prefill.watts(prompt) * self.latency.prefill.seconds(prompt) + self.decode.watts(
            tokens
        ) * self.latency.decode.seconds(prompt, tokens, texts)

    def cost_usd(
        self, prompt: int, tokens: int, usd_per_kwh: float, device_usd: float, lifetime_s: float, texts: int = 1
    ) -> float:
        """Price of the energy, and of the device for as long as it is busy."""
        busy_s = self.latency.seconds(prompt, tokens, texts)
        return self.joules(prompt, tokens, texts) / JOULES_PER_KWH * usd_per_kwh + device_usd * busy_s / lifetime_s

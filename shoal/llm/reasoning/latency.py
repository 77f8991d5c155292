"""Latency of prefill and decode as formulas, fitted to what was timed.

    T_p(I) = a·Ĩ² + b·Ĩ + c          Ĩ: I rounded up to a multiple of the tile
    TBT(n, N) = t_w + N·(m·n + t_c)  time between tokens, n tokens seen, N texts at once; t0 = t_w + t_c of one
    T_d = Σ_{i<O} TBT(I + i, N)

[EdgeReasoning, arXiv 2511.01866; the sum is that of consecutive contexts]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError
from shoal.llm.reasoning.fits import akaike, huber, least_squares

TILE = 128  # tokens of a tile of the tensor cores' kernels


@dataclass(frozen=True)
class Prefill:
    """Time of reading a prompt."""

    square_s: float  # a
    token_s: float  # b
    fixed_s: float  # c
    tile: int = 1  # tokens that a prompt is rounded up to; 1: none
    longest: int = 0  # tokens of the longest prompt it was fitted to

    def seconds(self, tokens: int) -> float:
        """T_p of a prompt."""
        padded = float(-(-tokens // self.tile) * self.tile)
        return self.square_s * padded**2 + self.token_s * padded + self.fixed_s


@dataclass(frozen=True)
class Decode:
    """Time between tokens."""

    weights_s: float  # t_w: what is read once for all texts
    text_s: float  # t_c: of each text
    seen_s: float  # m: of each token seen, of each text
    longest: int = 0  # tokens seen, and
    widest: int = 1  # texts at once that it was fitted to

    @property
    def first_s(self) -> float:
        """t0: of one text that has seen nothing."""
        return self.weights_s + self.text_s

    def token_s(self, seen: float, texts: int = 1) -> float:
        """TBT."""
        return self.weights_s + texts * (self.seen_s * seen + self.text_s)

    def seconds(self, prompt: int, tokens: int, texts: int = 1) -> float:
        """T_d of so many tokens after a prompt, in closed form."""
        summed = prompt * tokens + tokens * (tokens - 1) / 2
        return tokens * (self.weights_s + texts * self.text_s) + texts * self.seen_s * summed


@dataclass(frozen=True)
class Latency:
    """Both."""

    prefill: Prefill
    decode: Decode

    def seconds(self, prompt: int, tokens: int, texts: int = 1) -> float:
        """Of a prompt and so many tokens after it; samples of one prompt share its prefill."""
        return self.prefill.seconds(prompt) + self.decode.seconds(prompt, tokens, texts)

    def decode_share(self, prompt: int, tokens: int) -> float:
        """The share of decode in all."""
        return self.decode.seconds(prompt, tokens) / self.seconds(prompt, tokens)

    def warning(self, prompt: int, tokens: int, texts: int = 1) -> str:
        """What is beyond what was measured, in words; "": nothing."""
        beyond = [
            f"{what} {had}, measured up to {most}"
            for what, had, most in (
                ("a prompt of", prompt, self.prefill.longest),
                ("a context of", prompt + tokens, self.decode.longest),
                ("texts at once:", texts, self.decode.widest),
            )
            if had > most
        ]
        return "; ".join(beyond)

    def most_tokens(self, limit_s: float, prompt: int, texts: int = 1) -> int:
        """How many tokens can be written within a limit.

        Raises:
            LimitError: not one; the least time is told.
        """
        least_s = self.seconds(prompt, 1, texts)
        if not limit_s >= least_s:
            raise LimitError(f"infeasible, minimum is {1e3 * least_s:.4g} ms", needed="one token at least",
                             had=f"{1e3 * limit_s:.4g} ms")  # fmt: skip
        low, high = 1, 2
        while self.seconds(prompt, high, texts) <= limit_s and high < 1 << 40:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.seconds(prompt, middle, texts) <= limit_s else (low, middle)
        return low


@dataclass(frozen=True)
class Staircase:
    """Whether rounding up to tiles explains the times of prefill better than the lengths themselves."""

    present: bool
    gain: float  # of Akaike's criterion, by rounding up; beyond 2 it is believed
    rise: float  # of the time over the last tile's border, over the rise that a token within a tile makes


def fit_prefill(lengths: Sequence[int], times_s: Sequence[float], tile: int = 1) -> Prefill:
    """Fit a, b and c, errors as shares.

    Raises:
        InputError: fewer than three lengths.
    """
    if len(set(lengths)) < 3:
        raise InputError("too few lengths for a fit of prefill", needed="3", had=str(len(set(lengths))))
    padded = _padded(lengths, tile)
    square, token, fixed = least_squares([padded**2, padded, np.ones(len(padded))], times_s, relative=True)
    return Prefill(float(square), float(token), float(fixed), tile, max(lengths))


def fit_decode(seen: Sequence[float], times_s: Sequence[float], texts: Sequence[int] | None = None) -> Decode:
    """Fit the time between tokens, robustly; with one width of batch alone, all that is fixed is `weights_s`.

    Args:
        seen: tokens before each.
        times_s: of each; leave warm-up out.
        texts: at once, of each; none: one.
    """
    n, wide = np.asarray(seen, np.float64), np.asarray(texts if texts is not None else [1] * len(seen), np.float64)
    columns = [np.ones(len(n)), wide * n] + ([wide] if len(np.unique(wide)) > 1 else [])
    fixed_s, seen_s, *rest = map(float, huber(columns, times_s))
    return Decode(fixed_s, rest[0] if rest else 0.0, seen_s, int(n.max()), int(wide.max()))


def staircase(lengths: Sequence[int], times_s: Sequence[float], tile: int = TILE) -> Staircase:
    """Test for steps of a tile: lengths on both sides of its borders tell most."""
    y, ones = np.asarray(times_s, np.float64), np.ones(len(times_s))
    criteria = []
    for each in (1, tile):
        fitted = fit_prefill(lengths, times_s, each)
        criteria.append(akaike(ones, [fitted.seconds(n) for n in lengths] / y, 3))
    gain = criteria[0] - criteria[1]
    return Staircase(gain > 2, gain, _rise(lengths, y, tile))


def _rise(lengths: Sequence[int], times_s: NDArray[np.float64], tile: int) -> float:
    """Seconds a token over a border, over seconds a token within a tile: medians over neighbouring lengths."""
    order = np.argsort(lengths)
    n, y = np.asarray(lengths)[order], times_s[order]
    slopes = np.diff(y) / np.maximum(np.diff(n), 1)
    over = (n[1:] - 1) // tile != (n[:-1] - 1) // tile
    if not over.any() or over.all():
        return 1.0
    within = float(np.median(slopes[~over]))
    return float(np.median(slopes[over])) / within if within > 0 else float("inf")


def _padded(lengths: Sequence[int], tile: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.ceil(np.asarray(lengths, np.float64) / tile) * tile
    return found

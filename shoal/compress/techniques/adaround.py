"""Rounding learned: each weight to the value below or above, so that the layer's outputs lose least.

Source: AdaRound, arXiv 2004.10568; on grids of any steps: arXiv 2408.06995. ‖Ŵ·x̂ − W·x‖² is a quadratic form in each row
of Ŵ, of the second moments alone, so no sample is looked at again. Rows have nothing to do with one another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen, Work
from shoal.errors import InputError
from shoal.formats import Coded, make

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Choice = NDArray[np.bool_]  # (rows, columns): the value above instead of the one below

STRETCH, SHIFT = 1.2, -0.1  # of the sigmoid, which is then cut to 0 and 1: both can be reached
SHARP, SOFT = 2.0, 20.0  # powers of the regulariser at the end and at the start
WARM = 0.2  # of the steps, without it
PULL = 2.0  # of the regulariser, in what rounding to nearest loses
DECAYS = (0.9, 0.999)  # of Adam


@dataclass(frozen=True)
class Adaround:
    """Learned by gradient, then improved by single changes; never worse than the nearest values on what was seen.

    Those are improved by single changes too, and each row takes the better of the two.
    """

    format: str = "int4g128"
    steps: int = 200  # of Adam; 0: only single changes
    lr: float = 0.05

    needs_samples = True

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.lr > 0:
            raise InputError("cannot learn so", where="adaround", needed="steps >= 0 and lr > 0",
                             had=f"steps={self.steps}, lr={self.lr:g}")  # fmt: skip

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        form = make(self.format)
        if seen is None:
            raise InputError("needs calibration samples", where="adaround", hint="--samples FILE")
        if not form.by_column:
            raise InputError("cannot choose value by value in this format", where="adaround", hint="use rtn")
        params = form.fit(work.weights, seen.importance(group))
        codes = form.bracket(work.weights, params)
        below, above = (form.decode(each, params) for each in codes)
        wanted = work.weights if work.wanted is None else work.wanted
        problem = Rounding(below, above, seen.square[group], wanted @ seen.cross[group])
        nearest = form.assign(work.weights, params) == codes[1]
        scale = problem.scale(nearest, work.weights)
        learned = improved(problem, self._learned(problem, work.weights, nearest), scale)
        rounded = improved(problem, nearest, scale)
        worse = problem.loss(learned) > problem.loss(rounded)
        chosen = np.where(worse[:, None], rounded, learned)
        note = f"of {len(worse)} rows {worse.sum()} began from the nearest values: what was learned was worse"
        return replace(
            work,
            coded=Coded(np.where(chosen, codes[1], codes[0]), params),
            note=note if worse.any() else work.note,
        )

    def _learned(self, problem: Rounding, weights: F32, nearest: Choice) -> Choice:
        """What the gradient finds; each row's loss is measured in what the nearest values lose of it, by weight."""
        gap = problem.above - problem.below
        share = np.clip(
            np.divide(weights - problem.below, gap, out=nearest.astype(np.float32), where=gap > 0), 0, 1
        )
        v = _inverse(share)
        square, target = problem.square.astype(np.float32), problem.target.astype(np.float32)
        weigh = (gap / problem.scale(nearest, weights)).astype(np.float32)
        adam = _Adam(v.shape, self.lr)
        for step in range(self.steps):
            flat, slope = _rectified(v)
            gradient = 2 * ((problem.below + flat * gap) @ square - target) * weigh
            done = step / self.steps
            if done >= WARM:
                gradient += PULL * _pull(flat, SOFT + (SHARP - SOFT) * (done - WARM) / (1 - WARM))
            v -= adam.step(gradient * slope)
        return _rectified(v)[0] > 0.5 if self.steps else nearest


@dataclass(frozen=True, eq=False)
class Rounding:
    """For each row, from which of two values to choose each weight: the least ŵ·square·ŵ − 2·target·ŵ."""

    below: F32  # (rows, columns)
    above: F32
    square: F64  # (columns, columns)
    target: F64  # (rows, columns)

    def values(self, choice: Choice) -> F32:
        """The weights chosen."""
        found: F32 = np.where(choice, self.above, self.below)
        return found

    def loss(self, choice: Choice) -> F64:
        """Of each row; less than the mean square of the error by what does not depend on the choice."""
        values = self.values(choice).astype(np.float64)
        found: F64 = ((values @ self.square - 2 * self.target) * values).sum(axis=1)
        return found

    def scale(self, choice: Choice, weights: F32) -> F64:
        """A unit for each row's loss, (rows, 1): what the choice's own error makes, by weight."""
        error = self.values(choice).astype(np.float64) - weights
        made = ((error @ self.square) * error).sum(axis=1, keepdims=True)
        found: F64 = np.maximum(made, float(made.max()) * 1e-6 or 1.0) / error.shape[1]
        return found


def improved(problem: Rounding, choice: Choice, scale: F64) -> Choice:
    """The choice after single changes, column by column over and over, until none makes a row's loss less.

    Args:
        problem: what to choose from.
        choice: to begin with.
        scale: (rows, 1), of which a millionth is no gain.
    """
    choice = choice.copy()
    gap = (problem.above - problem.below).astype(np.float64)
    slope = problem.values(choice).astype(np.float64) @ problem.square - problem.target
    least, going = 1e-6 * scale[:, 0], True
    while going:
        going = False
        for column, own in enumerate(problem.square):
            change = np.where(choice[:, column], -gap[:, column], gap[:, column])
            gain = -change * (2 * slope[:, column] + change * own[column])
            rows = np.flatnonzero(gain > least)
            if rows.size:
                slope[rows] += change[rows, None] * own
                choice[rows, column] ^= True
                going = True
    return choice


class _Adam:
    """Steps of Adam, arXiv 1412.6980."""

    def __init__(self, shape: tuple[int, ...], rate: float) -> None:
        self._mean, self._square = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._rate, self._count = rate, 0

    def step(self, gradient: F32) -> F32:
        """What to subtract."""
        self._count += 1
        first, second = DECAYS
        self._mean += (gradient - self._mean) * np.float32(1 - first)
        self._square += (gradient * gradient - self._square) * np.float32(1 - second)
        mean = self._mean / np.float32(1 - first**self._count)
        spread = np.sqrt(self._square / np.float32(1 - second**self._count))
        found: F32 = np.float32(self._rate) * mean / (spread + np.float32(1e-8))
        return found


def _rectified(v: F32) -> tuple[F32, F32]:
    """The stretched sigmoid cut to 0 and 1, and its slope."""
    soft = 1 / (1 + np.exp(np.clip(-v, -80, 80)))
    flat = soft * np.float32(STRETCH) + np.float32(SHIFT)
    slope = np.where((flat > 0) & (flat < 1), soft * (1 - soft) * np.float32(STRETCH), np.float32(0))
    return np.clip(flat, 0, 1), slope


def _inverse(share: F32) -> F32:
    soft = np.clip((share - SHIFT) / STRETCH, 0.01, 0.99)
    found: F32 = np.log(soft / (1 - soft)).astype(np.float32)
    return found


def _pull(flat: F32, power: float) -> F32:
    """The slope of 1 − |2h − 1|^β, which has its zeros at 0 and 1."""
    centred = 2 * flat - 1
    found: F32 = -2 * np.float32(power) * np.abs(centred) ** np.float32(power - 1) * np.sign(centred)
    return found

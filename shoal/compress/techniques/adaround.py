"""Rounding learned: each weight to the value below or above, so that the layer's outputs lose least.

Source: AdaRound, arXiv 2004.10568; on grids of any steps: arXiv 2408.06995. ‖Ŵ·x̂ − W·x‖² is a quadratic form in each row
of Ŵ, of the second moments alone, so no sample is looked at again. Rows have nothing to do with one another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen, Work
from shoal.compress.techniques._soft import Choice, learned
from shoal.errors import InputError
from shoal.formats import Coded, make

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


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
        found = improved(problem, self._learned(problem, work.weights, nearest), scale)
        rounded = improved(problem, nearest, scale)
        worse = problem.loss(found) > problem.loss(rounded)
        chosen = np.where(worse[:, None], rounded, found)
        note = f"of {len(worse)} rows {worse.sum()} began from the nearest values: what was learned was worse"
        return replace(
            work,
            coded=Coded(np.where(chosen, codes[1], codes[0]), params),
            note=note if worse.any() else work.note,
        )

    def _learned(self, problem: Rounding, weights: F32, nearest: Choice) -> Choice:
        """What the gradient finds; each row's loss is measured in what the nearest values lose of it, by weight."""
        if not self.steps:
            return nearest
        gap = problem.above - problem.below
        share = np.clip(
            np.divide(weights - problem.below, gap, out=nearest.astype(np.float32), where=gap > 0), 0, 1
        )
        square, target = problem.square.astype(np.float32), problem.target.astype(np.float32)
        weigh = (gap / problem.scale(nearest, weights)).astype(np.float32)

        def slope_of(flat: F32) -> F32:
            found: F32 = 2 * ((problem.below + flat * gap) @ square - target) * weigh
            return found

        return learned(share, slope_of, self.steps, self.lr)


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

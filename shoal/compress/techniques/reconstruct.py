"""Rounding learned for what the network answers: errors of outputs count as its answers depend on them.

Source: the reconstruction of QuartDepth, arXiv 2503.16709, after BRECQ, arXiv 2102.05426, with the Fisher information in
Kronecker's form: tr(G·E·A·Eᵀ), E the error of the weights, A the inputs' second moments, G those of gradients at the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen, Work
from shoal.compress.layers import Layer
from shoal.compress.techniques._soft import Choice, learned
from shoal.compress.techniques.adaround import Adaround, Rounding
from shoal.errors import InputError
from shoal.formats import Coded, make
from shoal.graph import Graph

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Reconstruct:
    """As `adaround`, rows together: an error in one output may make good what another one's does. Needs torch.

    Never worse so on what was seen than `adaround`, from whose choice it goes on too.
    """

    format: str = "int4s"
    steps: int = 200  # of Adam
    lr: float = 0.05
    draws: int = 2  # of noise a sample, for the gradients
    relative: bool = False  # relative errors of the answers count: depths, amounts
    damp: float = 0.1  # of the mean diagonal of G, added to it

    needs_samples = True

    def __post_init__(self) -> None:
        if self.draws < 1 or not 0 <= self.damp < np.inf:
            raise InputError("cannot weigh so", where="reconstruct", needed="draws >= 1 and damp >= 0",
                             had=f"draws={self.draws}, damp={self.damp:g}")  # fmt: skip

    def slopes(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Mapping[str, NDArray[Any]]]
    ) -> Mapping[str, F64]:
        """See `Weigher.slopes`."""
        from shoal.compress.slopes import output_moments

        return output_moments(graph, layers, samples, draws=self.draws, relative=self.relative)

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        alone = Adaround(self.format, self.steps, self.lr).apply(work, seen, group)
        slopes = self._damped(work.slopes)
        if seen is None or alone.coded is None or slopes is None:
            return alone
        form, params = make(self.format), alone.coded.params
        codes = form.bracket(work.weights, params)
        below, above = (form.decode(each, params) for each in codes)
        wanted = work.weights if work.wanted is None else work.wanted
        problem = Rounding(below, above, seen.square[group], wanted @ seen.cross[group])
        first = alone.coded.codes == codes[1]
        tried = (first, self._learned(problem, work.weights, first, slopes))
        best = together(problem, min(tried, key=lambda choice: whole(problem, choice, slopes)), slopes)
        return replace(alone, coded=Coded(np.where(best, codes[1], codes[0]), params))

    def _learned(self, problem: Rounding, weights: F32, first: Choice, slopes: F64) -> Choice:
        """What the gradient finds from the weights on; the loss is measured in what the `first` choice makes, by weight."""
        if not self.steps:
            return first
        gap = problem.above - problem.below
        share = np.divide(weights - problem.below, gap, out=first.astype(np.float32), where=gap > 0)
        error = problem.values(first).astype(np.float64) - weights
        made = float(np.einsum("rs,rc,sc->", slopes, error, error @ problem.square))
        weigh = (gap * (error.size / max(made, 1e-30))).astype(np.float32)
        square, target, both = (each.astype(np.float32) for each in (problem.square, problem.target, slopes))

        def slope_of(flat: F32) -> F32:
            found: F32 = 2 * both @ ((problem.below + flat * gap) @ square - target) * weigh
            return found

        return learned(np.clip(share, 0, 1), slope_of, self.steps, self.lr)

    def _damped(self, slopes: F64 | None) -> F64 | None:
        """G with a mean diagonal of 1; none where nothing depends on the layer."""
        if slopes is None or not slopes.any():
            return None
        found: F64 = slopes / np.diagonal(slopes).mean()
        found[np.diag_indices_from(found)] += self.damp
        return found


def whole(problem: Rounding, choice: Choice, slopes: F64) -> float:
    """The loss of all rows together, less what does not depend on the choice."""
    values = problem.values(choice).astype(np.float64)
    return float(np.einsum("rs,rc,sc->", slopes, values, values @ problem.square - 2 * problem.target))


def together(problem: Rounding, choice: Choice, slopes: F64, sweeps: int = 4) -> Choice:
    """The choice after single changes, the best of each column at a time, over and over for so many sweeps."""
    choice = choice.copy()
    gap = (problem.above - problem.below).astype(np.float64)
    slope = slopes @ (problem.values(choice).astype(np.float64) @ problem.square - problem.target)
    own = np.diagonal(slopes)
    for _ in range(sweeps):
        changed = False
        for column, moments in enumerate(problem.square):
            change = np.where(choice[:, column], -gap[:, column], gap[:, column])
            gain = -change * (2 * slope[:, column] + change * own * moments[column])
            row = int(gain.argmax())
            if gain[row] > 1e-9 * abs(gain).max() and gain[row] > 0:
                slope += change[row] * np.outer(slopes[:, row], moments)
                choice[row, column] ^= True
                changed = True
        if not changed:
            break
    return choice

"""Rounding column by column, the error of each made good by those that follow.

Source: GPTQ, arXiv 2210.17323; inside a format with free scales: ELUTQ, arXiv 2510.19482. Parameters of a group are
fitted when its turn comes, on the columns as changed so far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen, Work
from shoal.errors import InputError
from shoal.formats import Coded, Codes, Format, Matrix, Params, make

F64 = NDArray[np.float64]
SHORT = 64  # columns


@dataclass(frozen=True)
class Gptq:
    """Second-order rounding on any grid."""

    format: str = "int4g128"
    damp: float = 0.01  # of the mean diagonal, added to it
    tries: int = 32  # scales for a row of few columns, which leave little to make an error good in
    block: int = 128  # columns after which the error is passed on to all later ones, where the format has no groups

    needs_samples = True

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        form = make(self.format)
        if seen is None:
            raise InputError("needs calibration samples", where="gptq", hint="--samples FILE")
        if not form.by_column:
            raise InputError("cannot round column by column in this format", where="gptq", hint="use rtn")
        upper = factor(seen.square[group], self.damp)
        left = work.weights.astype(np.float64)
        fitted = _fitted(form, work.weights, seen.importance(group))
        if form.group == 0 and left.shape[1] <= SHORT and all(len(each) == len(left) for each in fitted.values()):
            return replace(work, coded=_best_scales(left, seen.square[group], upper, form, self.tries))
        return replace(work, coded=_rounded(left, upper, form, fitted, seen.importance(group), self.block))


def _fitted(form: Format, weights: Matrix, importance: NDArray[np.float32]) -> Params:
    """Parameters of the matrix; of its first group alone where each group is fitted when its turn comes."""
    if form.group > 0 and weights.shape[1] % form.group == 0:
        first = form.fit(weights[:, : form.group], importance[: form.group])
        if "whole" not in first:
            return first
    return form.fit(weights, importance)


def factor(square: F64, damp: float) -> F64:
    """The upper Cholesky factor of the damped second moments' inverse.

    A column that never saw anything is rounded by itself: it may see something that the samples do not hold.

    Raises:
        InputError: it has none; more damping would help.
    """
    dead = np.diagonal(square) <= 0
    damped = square.copy()
    damped[dead, dead] = np.diagonal(square)[~dead].mean() if not dead.all() else 1
    damped[np.diag_indices_from(damped)] += damp * np.diagonal(damped).mean()
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(damped))
        return np.linalg.cholesky(inverse.T @ inverse).T
    except np.linalg.LinAlgError as fault:
        raise InputError("the second moments of the activations have no inverse", where="gptq",
                         hint="more samples, or damp=0.1") from fault  # fmt: skip


def _best_scales(left: F64, square: F64, upper: F64, form: Format, tries: int) -> Coded:
    """Each row with the scale that costs its outputs least: of some around that with which nothing clips."""
    larger = max(1, tries - tries // 4)
    rows, shares = len(left), np.concatenate([np.linspace(1, 1.15, larger), np.linspace(0.95, 0.7, tries - larger)])
    wanted = np.repeat(left, len(shares), axis=0)
    params = form.fit((wanted * np.tile(shares, rows)[:, None]).astype(np.float32))
    ones = np.ones(left.shape[1], np.float32)
    coded = _rounded(wanted.copy(), upper, form, params, ones, left.shape[1])
    error = form.decode(coded.codes, coded.params) - wanted
    lost = np.einsum("ri,ij,rj->r", error, square, error).reshape(rows, len(shares))
    best = lost.argmin(axis=1) + np.arange(rows) * len(shares)
    return Coded(coded.codes[best], {name: each[best] for name, each in coded.params.items()})


def _rounded(
    left: F64, upper: F64, form: Format, whole: Params, importance: NDArray[np.float32], block: int
) -> Coded:
    columns = left.shape[1]
    width = form.group if form.group > 0 else columns
    apart = form.group > 0 and "whole" not in whole  # a group is fitted when its turn comes
    codes = np.zeros(left.shape, np.uint8)
    found: list[Params] = []
    for first in range(0, columns, width):
        last = first + width
        params = _part(whole, first // width) if form.group > 0 else whole
        if apart:
            params = form.fit(left[:, first:last].astype(np.float32), importance[first:last])
        found.append(params)
        step = width if form.group > 0 else block
        for begin in range(first, last, step):
            _round_columns(left, upper, form, params, codes, begin, min(begin + step, last))
    return Coded(codes, _joined(found, whole))


def _round_columns(left: F64, upper: F64, form: Format, params: Params, codes: Codes, begin: int, end: int) -> None:
    """Round these columns, and pass what is lost on to the later ones."""
    errors = np.zeros((left.shape[0], end - begin))
    for column in range(begin, end):
        own = left[:, column : column + 1].astype(np.float32)
        code = form.assign(own, params)
        codes[:, column] = code[:, 0]
        error = (left[:, column] - form.decode(code, params)[:, 0]) / upper[column, column]
        left[:, column + 1 : end] -= error[:, None] * upper[column, column + 1 : end]
        errors[:, column - begin] = error
    left[:, end:] -= errors @ upper[begin:end, end:]


def _part(params: Params, group: int) -> Params:
    """Those of one group of columns."""
    return {name: each if name == "whole" else each[:, group : group + 1] for name, each in params.items()}


def _joined(parts: list[Params], whole: Params) -> Params:
    return {
        name: each if name == "whole" or (len(parts) == 1 and name not in parts[0])
        else np.concatenate([part[name] for part in parts], axis=1)
        for name, each in whole.items()
    }  # fmt: skip

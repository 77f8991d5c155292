"""Seconds of kernels whose cost depends on the data: predictors fitted to samples.

For each kind of kernel and type of device t = β·φ(work), β ≥ 0, fitted so that the sum of squared *relative*
errors is least (non-negative least squares on rows divided by their time). What a predictor is worth is its mean
absolute error in percent (MAPE) on samples that the fit did not see; a bad one is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra, WorkError
from shoal.record import KernelKind, KernelSample, KernelWork, Provenance

LEAST_SAMPLES = 30
MOST_MAPE = 0.25
HELD_OUT = 0.25  # share of the samples that judge the fit


class KernelTimes(Protocol):
    """Where seconds of kernels come from: a fit, a simulated machine."""

    def seconds(self, work: KernelWork, device: str) -> float:
        """Seconds of `work` on one device of the type; inf where it has no implementation."""


@dataclass(frozen=True)
class Hints:
    """What is known of a type of device beforehand, for features that bend."""

    tile: int = 1  # rows and columns of dense results are padded to multiples of it
    cache_bytes: int = 0  # gathers from operands beyond it are slower; 0: no such feature
    lanes: int = 1  # columns that a vector instruction does at once; what is left over goes one by one
    parallel: int = 1  # tiles computed at once: the last round may be partly empty


@dataclass(frozen=True)
class Fit:
    """The predictor of one kind of kernel on one type of device."""

    kind: KernelKind
    device: str
    hints: Hints
    features: tuple[str, ...]
    coefficients: tuple[float, ...]  # seconds a unit of the feature, ≥ 0
    mape: float  # on the held-out samples, 0.1 = 10 %
    samples: int  # fitted to
    held_out: int
    provenance: Provenance  # of the samples

    def seconds(self, work: KernelWork) -> float:
        """Predicted seconds of `work`."""
        values = features(work, self.hints)
        terms = zip(self.features, self.coefficients, strict=True)
        return sum(coefficient * values[name] for name, coefficient in terms if coefficient)


@dataclass(frozen=True)
class Fits:
    """Predictors of several kinds on several types; a value that is saved and loaded as a file."""

    fits: tuple[Fit, ...] = field(default=())

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str], Fit]:
        """(kind, device) → predictor."""
        return {(each.kind, each.device): each for each in self.fits}

    def seconds(self, work: KernelWork, device: str) -> float:
        """Seconds of `work` on one device of the type; inf if nothing was fitted for that."""
        found = self.by_key.get((work.kind, device))
        return math.inf if found is None else found.seconds(work)


def features(work: KernelWork, hints: Hints) -> Mapping[str, float]:
    """What the time of `work` may be a sum of, by name; M rows, N columns, K inner, w keys seen, h heads."""
    m, n, k = float(work.rows), float(work.columns), float(work.inner)
    rounds, rest = _rounds(work, hints), float(work.columns % hints.lanes)
    match work.kind:
        case "spmm":
            product = work.nnz * n
            cold = _beyond(work.in_bytes, hints)
            return {
                "nnz·N": product, "nnz·N cold": product * cold, "nnz·rest": work.nnz * rest, "nnz": float(work.nnz),
                "M·N": m * n, "M": m,
                "M·K": m * k, "M·K·N": m * k * n, "K·N": k * n, "1": 1.0,
            }  # fmt: skip
        case "gemm":
            return {
                "M·K·N": m * k * n, "M·K·rest": m * k * rest, "M·K": m * k, "M·N": m * n, "K·N": k * n,
                "tiles·K": rounds * k,
                "tiles": rounds, "1": 1.0,
            }  # fmt: skip
        case "attention":
            h, w = float(work.heads), work.seen
            all_scores = m * k * h
            return {
                "M·w·N": m * w * n, "M·w·h": m * w * h, "M·w": m * w, "M·K·N": m * k * n, "M·K·h": all_scores,
                "M·K·h cold": all_scores * _beyond(4 * all_scores, hints), "M·K": m * k, "M·N": m * n,
                "M·h": m * h, "M": m, "tiles": rounds, "1": 1.0,
            }  # fmt: skip
        case _:
            return {"M·N": m * n, "M": m, "1": 1.0}


def fit_kernels(
    samples: Sequence[KernelSample],
    hints: Mapping[str, Hints] | None = None,
    *,
    most_mape: float = MOST_MAPE,
    seed: int = 0,
) -> Fits:
    """One predictor for each kind and type of device in `samples`.

    Args:
        samples: at least LEAST_SAMPLES for each of them.
        hints: of types of device, by name.
        most_mape: a predictor that is worse on held-out samples is refused.
        seed: of the split into fitted and held-out samples.

    Raises:
        InputError: too few samples, or a time that is not above zero.
        WorkError: a predictor misses by more than `most_mape`.
        MissingExtra: scipy is not installed.
    """
    groups: dict[tuple[KernelKind, str], list[KernelSample]] = {}
    for sample in samples:
        if not 0 < sample.seconds < math.inf:
            raise InputError("a sample's time must be above zero", where=f"{sample.work.kind} on {sample.device}",
                             had=f"{sample.seconds} s")  # fmt: skip
        groups.setdefault((sample.work.kind, sample.device), []).append(sample)
    known = hints or {}
    return Fits(tuple(
        _fit(kind, device, group, known.get(device, Hints()), most_mape, seed)
        for (kind, device), group in groups.items()
    ))  # fmt: skip


def mape(fitted: Fits, samples: Sequence[KernelSample]) -> float:
    """Mean absolute error of the predictions relative to the samples' times, 0.1 = 10 %."""
    return float(np.mean([abs(fitted.seconds(each.work, each.device) / each.seconds - 1) for each in samples]))


def _fit(
    kind: KernelKind, device: str, group: Sequence[KernelSample], hints: Hints, most_mape: float, seed: int
) -> Fit:
    where = f"{kind} on {device}"
    if len(group) < LEAST_SAMPLES:
        raise InputError("too few samples to fit", where=where, needed=str(LEAST_SAMPLES), had=str(len(group)))
    order = np.random.default_rng(seed).permutation(len(group))
    apart = max(1, int(HELD_OUT * len(group)))
    judging, fitting = ([group[index] for index in part] for part in (order[:apart], order[apart:]))
    names = tuple(features(group[0].work, hints))
    made = Fit(kind, device, hints, names, _solved(names, fitting, hints), 0.0, len(fitting), apart,
               group[0].provenance)  # fmt: skip
    error = mape(Fits((made,)), judging)
    if not error <= most_mape:
        raise WorkError(
            "the fitted times miss what was held out", where=where, needed=f"at most {most_mape:.0%}",
            had=f"{error:.0%} on {apart} samples", hint="measure more sizes, or give hints (tile, cache)",
        )  # fmt: skip
    return Fit(kind, device, hints, names, made.coefficients, error, len(fitting), apart, made.provenance)


def _solved(names: Sequence[str], samples: Sequence[KernelSample], hints: Hints) -> tuple[float, ...]:
    """Coefficients ≥ 0 that make the squared relative errors least; columns are scaled to one before."""
    try:
        from scipy.optimize import nnls
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    rows = [features(sample.work, hints) for sample in samples]
    table = np.array(
        [[row[name] / sample.seconds for name in names] for row, sample in zip(rows, samples, strict=True)]
    )
    scale: NDArray[np.float64] = np.linalg.norm(table, axis=0)
    scale[scale == 0] = 1.0
    found, _ = nnls(table / scale, np.ones(len(samples)))
    return tuple(float(value) for value in found / scale)


def _beyond(size_bytes: float, hints: Hints) -> float:
    """Share of an operand that does not fit the cache; 0 if no cache is known."""
    return max(0.0, 1.0 - hints.cache_bytes / max(1.0, size_bytes)) if hints.cache_bytes else 0.0


def _rounds(work: KernelWork, hints: Hints) -> float:
    """Values computed with every tile full and every round of parallel tiles complete."""
    tiles = math.ceil(work.rows / hints.tile) * math.ceil(work.columns / hints.tile)
    return float(math.ceil(tiles / hints.parallel) * hints.parallel * hints.tile**2)

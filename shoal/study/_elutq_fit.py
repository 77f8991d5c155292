"""How well bit planes fit matrices beside whole numbers of as many bits, group by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.formats import make, quantise, restored
from shoal.study._blocks import fault_of
from shoal.study._repository import beside
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from shoal.formats import Matrix

COLUMNS = 2048  # of drawn matrices
REFERENCE = {"normal": (0.252, 0.116, 0.111), "student": (0.52, 0.20, 0.18)}  # at two bits in groups of 128
GEMMA = "Gemma-3 270M"
WAYS = ("even", "even, searched", "whole numbers", "whole, searched", "planes")
SHARES = np.linspace(1, 0.3, 41)  # of a range that even levels may have
TINY = 1e-30


@dataclass(frozen=True)
class Fit:
    """A matrix in as many bits in several ways; errors are squared and relative to the matrix's energy."""

    bits: int
    lost: tuple[float, ...]  # as in `WAYS`
    groups: int
    excess: tuple[
        float, float
    ]  # of planes over the others, as they are and searched: the worst group's, % of its energy


def drawn(law: str, rows: int, seed: int) -> Matrix:
    """Normal values, or Student's t of four degrees of freedom."""
    source, shape = np.random.default_rng(seed), (rows, COLUMNS)
    values = source.standard_normal(shape) if law == "normal" else source.standard_t(4, shape)
    return values.astype(np.float32)


def fit(weights: Matrix, bits: int, group: int) -> Fit:
    """The errors of one matrix."""
    names = (f"int{bits}ag{group}", f"int{bits}asg{group}", f"hlq{bits}g{group}")
    planes = _lost(names[-1], weights, group)
    others = [*_even(weights, bits, group), *(_lost(name, weights, group) for name in names[:-1])]
    energy = (weights.astype(np.float64).reshape(-1, group) ** 2).sum(axis=1)
    above = [float(100 * ((planes - each) / np.maximum(energy, TINY)).max()) for each in others]
    lost = tuple(float(each.sum() / max(energy.sum(), TINY)) for each in (*others, planes))
    return Fit(bits, lost, energy.size, (max(above[::2]), max(above[1::2])))


def shown(fits: Mapping[str, list[Fit]]) -> Iterator[Shown]:
    """A row for each subject and number of bits, and how far planes are behind at worst."""
    rows = []
    for name, each in fits.items():
        for bits in sorted({one.bits for one in each}):
            some = [one for one in each if one.bits == bits]
            rows.append((name, bits, *np.mean([one.lost for one in some], axis=0), sum(one.groups for one in some)))
    yield Table("Squared error of weights over their energy", ("weights", "bits", *WAYS, "groups"), rows,
                "even levels from least to largest, whole numbers with a zero point, both with their scales searched too, "
                "and bit planes; means over matrices")  # fmt: skip
    every = [one for each in fits.values() for one in each]
    groups = sum(one.groups for one in every)
    for at, key in enumerate(("minmax", "searched")):
        yield Finding(key, max(0.0, *(one.excess[at] for one in every)), "computed", groups, why="n: groups")


def gain(key: str, fits: Sequence[Fit]) -> Finding:
    """Planes' error over the least of the others', at two bits: mean over matrices, all of them."""
    ratios = [each.lost[-1] / min(each.lost[:-1]) for each in fits if each.bits == 2]
    return Finding(
        key, fmean(ratios), "computed", len(ratios), (min(ratios), max(ratios)), "interval: all matrices"
    )


def published(blocks: int) -> list[Matrix]:
    """The matrices of so many blocks of Gemma-3 270M, spread over its depth, decoded from a file in four bits.

    Raises:
        InputError: they cannot be fetched, or what reads the file is not installed.
    """
    found: list[Matrix] = beside("examples.models.gemma3").matrices(blocks)
    return found


def references(rows: int, seed: int) -> Iterator[Shown]:
    """Two bits in groups of 128 of drawn values."""
    off = []
    for law, expected in REFERENCE.items():
        found = fit(drawn(law, rows, seed), 2, 128)
        yield Finding(law, found.lost[-1], "computed", found.groups, why="n: groups")
        off += [abs(own / other - 1) * 100 for own, other in zip(found.lost[:2], expected[:2], strict=True)]
    yield Finding("uniform", max(off), "computed", len(off))


def refusals() -> dict[str, bool]:
    """What planes cannot code, and whether the error names it."""
    normal = np.ones((2, 192), np.float32)
    wrong = normal.copy()
    wrong[0, 0] = np.nan
    return {
        "groups that do not divide": "192" in fault_of("hlq2g128", normal),
        "no columns": "(2, 0)" in fault_of("hlq2g64", normal[:, :0]),
        "NaN": "1 of 384" in fault_of("hlq2g64", wrong),
        "too many planes": "1 to 4" in fault_of("hlq5g64", normal),
    }


def _even(weights: Matrix, bits: int, group: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The squared error of each group at even levels with any zero: over the whole range, and over the best share of it."""
    values = weights.reshape(-1, group)
    least, most = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    middle, errors = (least + most) / 2, []
    for share in SHARES.astype(np.float32):
        step = np.maximum((most - least) * share / np.float32(2**bits - 1), np.float32(TINY))
        start = middle - (most - least) * share / 2
        codes = np.clip(np.rint((values - start) / step), 0, 2**bits - 1)
        errors.append(((values - (start + codes * step)).astype(np.float64) ** 2).sum(axis=1))
    return errors[0], np.min(errors, axis=0)


def _lost(name: str, weights: Matrix, group: int) -> NDArray[np.float64]:
    """The squared error of each group."""
    form = make(name)
    error = restored(form, quantise(form, weights)).astype(np.float64) - weights
    found: NDArray[np.float64] = (error.reshape(-1, group) ** 2).sum(axis=1)
    return found

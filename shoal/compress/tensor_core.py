"""Products of FP8 matrices as tensor cores add them up: aligned to the largest, cut off, and promoted now and then.

Sources: DeepSeek-V3 Technical Report, arXiv 2412.19437, section 3.3.2; Zhao et al., arXiv 2505.09343, section 3.1.1: an H800
aligns products to the largest exponent, keeps 13 fraction bits of each, and sums into registers of 22 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import Coded
from shoal.formats.tiles import Tiles

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Adder:
    """How a unit sums products."""

    bits: int = 13  # of the fraction, of aligned products and of the register
    at_once: int = 32  # products of one instruction
    promoted: int = 128  # products after which the register is added to a float32; 0: never

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 50 or self.at_once < 1 or self.promoted < 0 or self.promoted % self.at_once:
            raise InputError(
                "no such adder", needed="1 to 50 bits; promotion after whole instructions", had=str(self)
            )


def accumulated(left: F32, right: F32, adder: Adder) -> F32:
    """Sums of products of FP8 numbers, left (m, k) and right (n, k), as (m, n).

    Raises:
        InputError: other shapes.
    """
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InputError("no product", needed="(m, k) and (n, k)", had=f"{left.shape} and {right.shape}")
    total = np.zeros((len(left), len(right)), np.float32)
    step = adder.promoted or left.shape[1]
    for start in range(0, left.shape[1], step):
        stretch = slice(start, start + step)
        total += _register(left[:, stretch], right[:, stretch], adder)
    return total


def tiled_product(x: Coded, weights: Coded, adder: Adder, *, acts: Tiles, form: Tiles) -> F32:
    """Activations · weightsᵀ, (tokens, outputs): sums of a tile's products are scaled where they are promoted.

    Args:
        x: (tokens, k) in tiles of one row, `acts`.
        weights: (outputs, k), `form`; the columns of its tiles are those of `acts`.
        adder: promotes after each tile, whatever its `promoted` says.
        acts: the format of `x`.
        form: that of `weights`.

    A last tile that is not whole is filled up with zeros, which add nothing.

    Raises:
        InputError: tiles that do not fit each other.
    """
    if acts.group != form.group or acts.rows != 1:
        raise InputError("tiles that do not fit", needed=f"1 × {form.group}", had=f"{acts.rows} × {acts.group}")
    values = [_filled(each.grid.array[coded.codes], each.group) for each, coded in ((acts, x), (form, weights))]
    total = np.zeros((len(values[0]), len(values[1])), np.float32)
    for at, start in enumerate(range(0, values[0].shape[1], form.group)):
        left, right = (each[:, start : start + form.group] for each in values)
        rows = np.repeat(weights.params["scales"][:, at], form.rows)[: len(right)]
        total += _register(left, right, adder) * x.params["scales"][:, at, None] * rows
    return total


def _register(left: F32, right: F32, adder: Adder) -> F32:
    """The register after all products."""
    register = np.zeros((len(left), len(right)))
    for start in range(0, left.shape[1], adder.at_once):
        stretch = slice(start, start + adder.at_once)
        products = left[:, None, stretch].astype(np.float64) * right[None, :, stretch]
        terms = np.concatenate([products, register[:, :, None]], axis=2)
        aligned = _cut(terms, np.abs(terms).max(axis=2, keepdims=True), adder.bits).sum(axis=2)
        register = _cut(aligned, np.abs(aligned), adder.bits)
    return register.astype(np.float32)


def _cut(values: F64, largest: F64, bits: int) -> F64:
    """What is left of values of which so many fraction bits of the largest one are kept; towards zero."""
    _, exponent = np.frexp(largest)  # largest = fraction · 2^exponent, fraction from 0.5 up
    unit = np.ldexp(1.0, exponent - 1 - bits)
    found: F64 = np.trunc(values / unit) * unit
    return found


def _filled(values: F32, group: int) -> F32:
    """With columns of zeros up to whole tiles."""
    return np.pad(values, ((0, 0), (0, -values.shape[1] % group)))

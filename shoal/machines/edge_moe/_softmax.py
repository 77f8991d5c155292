"""Softmax in one pass: the largest value so far and the sum under it, put right whenever a larger one comes.

[Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Sarkar et al., "Edge-MoE", ICCAD 2023]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.machines._fixed import Fixed, Floats, Raw


def single_pass(rows: Floats) -> tuple[Floats, Floats]:
    """Largest value and reciprocal sum of each row (the last axis), from seeing every value once."""
    most = np.full(rows.shape[:-1], -np.inf)
    sums = np.zeros(rows.shape[:-1])
    for place in range(rows.shape[-1]):
        value = rows[..., place]
        larger = value > most
        apart = np.exp(-np.abs(value - most))
        sums = np.where(larger, sums * apart + 1, sums + apart)
        most = np.where(larger, value, most)
    return most, 1 / sums


def two_pass(rows: Floats) -> tuple[Floats, Floats]:
    """The same, with a pass for the largest value and another for the sum."""
    most = rows.max(axis=-1)
    return most, 1 / np.exp(rows - most[..., None]).sum(axis=-1)


@dataclass(frozen=True)
class FixedSoftmax:
    """In fixed point. The exponential and the reciprocal are right to the last bit of the format."""

    form: Fixed

    def begun(self, *shape: int) -> tuple[Raw, Raw]:
        """The largest value and the sum of no value."""
        return np.full(shape, -self.form.most - 1), np.zeros(shape, np.int64)

    def seen(self, most: Raw, sums: Raw, value: Raw) -> tuple[Raw, Raw]:
        """Both, after another value."""
        form, one = self.form, 1 << self.form.fraction
        apart = self.exponential(-np.abs(value - most))
        larger = value > most
        scaled = form.fewer(sums * apart, form.fraction) + one
        return np.where(larger, value, most), form.held(np.where(larger, scaled, sums + apart))

    def shares(self, values: Raw, most: Raw, reciprocals: Raw) -> Raw:
        """exp(value − most) times the reciprocal sum."""
        return self.form.fewer(self.exponential(values - most) * reciprocals, self.form.fraction)

    def exponential(self, raw: Raw) -> Raw:
        """Of values up to 0."""
        return self.form.coded(np.exp(self.form.decoded(raw)))

    def reciprocal(self, raw: Raw) -> Raw:
        """Of values above 0."""
        return self.form.coded(1 / self.form.decoded(raw))

    def of_rows(self, rows: Raw) -> Raw:
        """The shares of each row (the last axis) in one pass."""
        most, sums = self.begun(*rows.shape[:-1])
        for place in range(rows.shape[-1]):
            most, sums = self.seen(most, sums, rows[..., place])
        return self.shares(rows, most[..., None], self.reciprocal(sums)[..., None])

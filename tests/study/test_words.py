"""Figures of any unit as short text."""

from __future__ import annotations

import math

import pytest

from shoal.study._words import figure, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"), (False, "no"), (0.0, "0"), (1.75, "1.75"), (1.9344, "1.934"), (401408, "401,408"),
        (-3, "−3"), (-0.5, "−0.5"), (12345.6, "12,346"), (3.2e-6, "3.2e-06"), (1e18, "1e+18"),
        (math.nan, "—"), (math.inf, "∞"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_figures_wear_their_unit() -> None:
    assert [figure(1.5, "s"), figure(80.0, ""), figure(True, "s"), figure(None, "s")] == ["1.5 s", "80", "yes", "—"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0049, "0.49 %"), (0.0251, "2.5 %"), (0.123, "12 %"), (24.0, "24 times")]
)
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text

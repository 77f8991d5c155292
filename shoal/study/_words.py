"""Figures of any unit as short text."""

from __future__ import annotations

from math import isfinite, isnan

ABSENT = "—"


def number(value: float | bool) -> str:
    """`value` to four digits: "1.934", "401,408", "3.2e-06"; a bool as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isfinite(value):
        return ABSENT if isnan(value) else "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    size = abs(value)
    text = f"{value:,.0f}" if size >= 9999.5 and size < 1e15 else f"{value:.4g}"
    return text.replace("-", "−", 1) if value < 0 else text


def figure(value: float | bool | None, unit: str) -> str:
    """`value` with its unit; a dash where there is none."""
    if value is None:
        return ABSENT
    return number(value) if isinstance(value, bool) or not unit else f"{number(value)} {unit}"


def percent(share: float) -> str:
    """A share as per cent: "12 %", "0.8 %"; above ten-fold as a multiple."""
    if share >= 10:
        return f"{number(share)} times"
    percents = share * 100
    return f"{percents:.0f} %" if percents >= 9.95 else f"{percents:.2g} %"

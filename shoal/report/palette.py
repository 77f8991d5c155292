"""Colours that people with any colour vision tell apart, and shapes for when there are more devices."""

from __future__ import annotations

from collections.abc import Iterable

# Okabe and Ito's palette without its yellow, which vanishes on white, then darker tones of Paul Tol's.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#882255",
    "#44aa99",
    "#332288",
    "#999933",
)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "hexagon", "pentagon", "cross", "star")
INK, MUTED, LINE, ACCENT = "#1d2733", "#66717e", "#d8dee6", "#b3261e"


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in order; beyond the palette they repeat."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def symbols(names: Iterable[str]) -> dict[str, str]:
    """A marker for each name, so that colour is not the only sign."""
    return {name: SYMBOLS[index % len(SYMBOLS)] for index, name in enumerate(names)}

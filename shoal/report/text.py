"""Figures and names as short text: what tables and pages have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Literal

from shoal.units import format_bytes, format_joules, format_kilograms, format_rate, format_seconds

Kind = Literal["s", "B", "J", "items/s", "share", "count"]

ABSENT = "—"


def quantity(value: float | None, kind: Kind) -> str:
    """`value`, an SI figure of `kind`, with a fitting prefix and its unit; a dash where there is none."""
    if value is None or not isfinite(value):
        return ABSENT
    return _FORMATS[kind](value)


def in_unit(value: float | None, unit: str) -> str:
    """`value` in a unit such as "s" or "kg/item", with a fitting prefix; a dash where there is none."""
    if value is None or not isfinite(value):
        return ABSENT
    of, slash, each = unit.partition("/")
    return f"{_UNITS[of](value)}{slash}{each}" if of in _UNITS else f"{value:.3g} {unit}"


def error(value: float | None) -> str:
    """A relative error with its sign: "+3.1 %"."""
    if value is None or not isfinite(value):
        return ABSENT
    percent = value * 100
    return f"{percent:+.{0 if abs(percent) >= 100 else 1}f} %".replace("-", "−")


def plain(text: str) -> str:
    """`text` without control characters, so that a name cannot steer a terminal or break a line."""
    return "".join(c if c.isprintable() else "�" for c in text)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters; the middle goes, since names tell themselves apart at the end."""
    text = plain(text)
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def date(iso: str) -> str:
    """An ISO 8601 time as "2025-03-01 12:30 UTC"; anything else as it stands."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return plain(iso)
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or 'UTC'}"


def plural(count: int, noun: str) -> str:
    """`count` and its noun: "1 item", "3 items"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _share(value: float) -> str:
    return f"{value * 100:.1f} %" if 0 < value < 0.0995 else f"{value * 100:.0f} %"


_UNITS: Mapping[str, Callable[[float], str]] = {
    "s": format_seconds,
    "B": format_bytes,
    "J": format_joules,
    "kg": format_kilograms,
}
_FORMATS: Mapping[Kind, Callable[[float], str]] = {
    "s": format_seconds,
    "B": format_bytes,
    "J": format_joules,
    "items/s": lambda value: format_rate(value, "/s"),
    "share": _share,
    "count": lambda value: f"{value:.0f}",
}

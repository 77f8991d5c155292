"""When a claim is met, and by how much: rules are part of a claim, so that no study judges itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shoal.errors import InputError
from shoal.study._words import figure, percent

Obtained = float | bool


@dataclass(frozen=True)
class Outcome:
    """Whether a rule is met by a figure, and how far the figure is from its limit."""

    met: bool
    margin: float | None  # positive inside the limit; a share of the target, or in the claim's unit
    by: str  # in words: "by 12 %", "2.1 % off, 5 % allowed"


class Rule(Protocol):
    """When a claim is met."""

    def check(self, key: str, published: float | str | None) -> None:
        """Raise InputError unless there is something to compare with."""

    def needs(self, published: float | str | None, unit: str) -> str:
        """What is needed, in words: "≥ 1.95 ×"."""

    def judge(self, obtained: Obtained, published: float | str | None, unit: str) -> Outcome:
        """Hold a figure against the target; without one of its own that is the published figure."""


@dataclass(frozen=True)
class AtLeast:
    """Met from the target upwards."""

    target: float | None = None  # None: the published figure

    def check(self, key: str, published: float | str | None) -> None:
        """Refuse a claim without a figure."""
        _target(self.target, published, key)

    def needs(self, published: float | str | None, unit: str) -> str:
        """The lower limit."""
        return f"≥ {figure(_target(self.target, published), unit)}"

    def judge(self, obtained: Obtained, published: float | str | None, unit: str) -> Outcome:
        """By how much of the target it is above."""
        target = _target(self.target, published)
        return _beyond(obtained - target, target, unit)


@dataclass(frozen=True)
class AtMost:
    """Met from the target downwards."""

    target: float | None = None  # None: the published figure

    def check(self, key: str, published: float | str | None) -> None:
        """Refuse a claim without a figure."""
        _target(self.target, published, key)

    def needs(self, published: float | str | None, unit: str) -> str:
        """The upper limit."""
        return f"≤ {figure(_target(self.target, published), unit)}"

    def judge(self, obtained: Obtained, published: float | str | None, unit: str) -> Outcome:
        """By how much of the target it is below."""
        target = _target(self.target, published)
        return _beyond(target - obtained, target, unit)


@dataclass(frozen=True)
class Within:
    """Met close to the target: by a share of it, or by so much in the claim's unit; nothing given means equal."""

    relative: float | None = None  # share of the target: 0.05
    absolute: float | None = None  # in the claim's unit
    target: float | None = None  # None: the published figure

    def check(self, key: str, published: float | str | None) -> None:
        """Refuse a claim without a figure, and two tolerances at once."""
        target = _target(self.target, published, key)
        if self.relative is not None and self.absolute is not None:
            raise InputError("relative and absolute tolerance at once", where=f"claim '{key}'")
        if self.relative is not None and target == 0:
            raise InputError("no share of zero", where=f"claim '{key}'", hint="give the tolerance as absolute")

    def needs(self, published: float | str | None, unit: str) -> str:
        """The target with its tolerance."""
        target = figure(_target(self.target, published), unit)
        if self.relative is not None:
            return f"{target} ± {percent(self.relative)}"
        return f"{target} ± {figure(self.absolute, unit)}" if self.absolute else f"= {target}"

    def judge(self, obtained: Obtained, published: float | str | None, unit: str) -> Outcome:
        """How much of the tolerance is left."""
        target = _target(self.target, published)
        off = abs(obtained - target)
        if self.relative is not None:
            share, allowed = off / abs(target), self.relative
            return Outcome(share <= allowed, allowed - share, f"{percent(share)} off, {percent(allowed)} allowed")
        limit = self.absolute or 0.0
        told = f", {figure(limit, unit)} allowed" if limit else ""
        return Outcome(off <= limit, limit - off, f"{figure(off, unit)} off{told}" if off or limit else "exactly")


@dataclass(frozen=True)
class Holds:
    """Met if it is so: the finding is True or False."""

    def check(self, key: str, published: float | str | None) -> None:
        """Nothing to refuse."""

    def needs(self, published: float | str | None, unit: str) -> str:
        """That it is so."""
        return "holds"

    def judge(self, obtained: Obtained, published: float | str | None, unit: str) -> Outcome:
        """Yes or no."""
        return Outcome(bool(obtained), None, "")


def _target(own: float | None, published: float | str | None, key: str = "") -> float:
    if own is not None:
        return own
    if published is None or isinstance(published, str):
        raise InputError(
            "nothing to compare with: no published figure and no target", where=f"claim '{key}'" if key else None
        )
    return published


def _beyond(above: float, target: float, unit: str) -> Outcome:
    """Met if `above` the limit; the margin is a share of the target, or absolute where that is zero."""
    if target == 0:
        return Outcome(above >= 0, above, f"by {figure(abs(above), unit)}")
    share = above / abs(target)
    return Outcome(above >= 0, share, f"by {percent(abs(share))}")

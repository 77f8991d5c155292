"""One design's footprint over another's, without kilograms: embodied by area, operational by energy or power.

After the first-order model of Eeckhout, "FOCAL: A first-order carbon model to assess processor sustainability",
ASPLOS 2024. Two designs that can do the same work are compared twice: at fixed work, where the time that a quicker
one gains stays idle, and at fixed time, where it is used for more work.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Ratio = TypeVar("Ratio", float, NDArray[np.float64])
Verdict = Literal["strong", "weak", "not"]
Case = Literal["work", "time"]  # what is the same in both designs


@dataclass(frozen=True)
class Design:
    """What one way of doing the work takes, in units that both sides of a comparison share."""

    area: float  # or kilograms: whatever is proportional to what its making emits
    energy: float  # of the work
    power: float  # while it works

    def __post_init__(self) -> None:
        if not (self.area > 0 and isfinite(self.area)):
            raise InputError("no design has this area", needed="above 0", had=f"{self.area:g}")
        if not (self.energy >= 0 and self.power >= 0 and isfinite(self.energy) and isfinite(self.power)):
            raise InputError(
                "no design takes this",
                needed="energy and power of 0 or more",
                had=f"{self.energy:g}, {self.power:g}",
            )

    def use(self, case: Case) -> float:
        """What its operation is proportional to."""
        return self.energy if case == "work" else self.power


@dataclass(frozen=True)
class Compared:
    """A design's normalised carbon footprint; below 1 it is better than the reference."""

    fixed_work: float
    fixed_time: float

    @property
    def verdict(self) -> Verdict:
        """Whether it is better."""
        return verdict(self.fixed_work, self.fixed_time)


def verdict(fixed_work: float, fixed_time: float) -> Verdict:
    """Strong: better whatever the freed time is used for; weak: as long as it is not used; else not."""
    if fixed_work >= 1:
        return "not"
    return "strong" if fixed_time < 1 else "weak"


def weighed(alpha: float, embodied: Ratio, operational: Ratio) -> Ratio:
    """The footprint whose embodied part is `embodied` times the reference's, and so on.

    Args:
        alpha: share of the embodied part in the reference's footprint, 0 to 1.
        embodied: ratio of areas.
        operational: ratio of energies (fixed work) or of powers (fixed time).

    Raises:
        InputError: no such share.
    """
    return check_alpha(alpha) * embodied + (1 - alpha) * operational


def compare(design: Design, reference: Design, alpha: float) -> Compared:
    """The footprint of `design` over that of `reference`, in whose footprint `alpha` is embodied.

    Raises:
        InputError: no such share, or a reference whose operation is free.
    """
    ratios = [_ratios(design, reference, case) for case in ("work", "time")]
    return Compared(*(weighed(alpha, *each) for each in ratios))


def swapped(alpha: float, design: Design, reference: Design, case: Case = "work") -> float:
    """The embodied share in the footprint of `design`, if it is `alpha` in that of `reference`.

    Whoever makes the design the reference has to weigh with this share, or the two comparisons contradict each other.

    Raises:
        InputError: no such share, or a reference whose operation is free.
    """
    embodied, operational = _ratios(design, reference, case)
    return alpha * embodied / weighed(alpha, embodied, operational)


def check_alpha(alpha: float) -> float:
    """`alpha` if it is a share.

    Raises:
        InputError: it is none.
    """
    if not 0 <= alpha <= 1:
        raise InputError("no share of the embodied carbon", where="alpha", needed="0 to 1", had=f"{alpha:g}")
    return alpha


def _ratios(design: Design, reference: Design, case: Case) -> tuple[float, float]:
    if not reference.use(case) > 0:
        raise InputError("the reference takes nothing to run", needed="energy and power above 0", had="0")
    return design.area / reference.area, design.use(case) / reference.use(case)

"""Numbers with a fixed point, as descriptions of circuits have them: ap_fixed<W, I>, rounded and saturated, exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, frexp
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Raw: TypeAlias = NDArray[np.int64]  # multiples of a format's smallest step
Floats: TypeAlias = NDArray[np.float64]
MOST_BITS = 32


@dataclass(frozen=True)
class Fixed:
    """`bits` in all, of which `whole` stand before the point, the sign among them.

    Raises:
        InputError: more bits than are computed with here, or a point outside of them.
    """

    bits: int
    whole: int
    rounding: Literal["nearest", "down"] = "nearest"  # AP_RND: halves up; AP_TRN
    overflow: Literal["saturate", "wrap"] = "saturate"  # AP_SAT; AP_WRAP

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= MOST_BITS or not 1 <= self.whole <= self.bits:
            raise InputError("no such fixed-point format", needed=f"2 to {MOST_BITS} bits, 1 to all of them whole",
                             had=f"<{self.bits}, {self.whole}>")  # fmt: skip

    @property
    def fraction(self) -> int:
        """Bits behind the point."""
        return self.bits - self.whole

    @property
    def step(self) -> float:
        """The smallest difference."""
        return 2.0**-self.fraction

    @property
    def most(self) -> int:
        """The largest multiple of the step; the smallest is one further from zero."""
        return int(2 ** (self.bits - 1)) - 1

    def coded(self, values: NDArray[Any]) -> Raw:
        """The nearest multiples of the step (or those below), within the range."""
        scaled = np.asarray(values, np.float64) * 2.0**self.fraction
        whole = np.floor(scaled + 0.5 if self.rounding == "nearest" else scaled)
        return self.held(np.clip(whole, -(2.0**62), 2.0**62).astype(np.int64))

    def decoded(self, raw: Raw) -> Floats:
        """What they stand for."""
        found: Floats = raw * np.float64(self.step)
        return found

    def rounded(self, values: NDArray[Any]) -> Floats:
        """`values` as they come through the format."""
        return self.decoded(self.coded(values))

    def held(self, raw: Raw) -> Raw:
        """Multiples brought into the range."""
        if self.overflow == "saturate":
            return np.clip(raw, -self.most - 1, self.most)
        wrapped: Raw = ((raw + self.most + 1) & (2**self.bits - 1)) - self.most - 1
        return wrapped

    def fewer(self, raw: Raw, drop: int) -> Raw:
        """Multiples of a step 2**drop times finer, rounded and brought into the range."""
        half = 1 << (drop - 1) if drop and self.rounding == "nearest" else 0
        shifted: Raw = (raw + half) >> drop
        return self.held(shifted)

    def product(self, left: Raw, right: Raw, drop: int) -> Raw:
        """Matrix products of multiples: exact sums, then `fewer`.

        The left operand is taken in two parts, so that sums of what has 32 bits stay far from the end of int64.

        Raises:
            InputError: they could get there nevertheless.
        """
        cut = drop // 2
        upper, lower = left >> cut, left & ((1 << cut) - 1)
        longest = max(_most(upper), _most(lower)) * _most(right) * left.shape[-1]
        if longest >= 2**62:
            raise InputError("sums that 64 bits may not hold", needed="below 2**62", had=f"{longest:.1e}")
        return self.fewer(upper @ right + ((lower @ right) >> cut), drop - cut)

    def holding(self, values: NDArray[Any]) -> Fixed:
        """This format, or one of as many bits with the point further right, so that `values` are in its range."""
        most = float(np.abs(values).max(initial=0.0))
        needed = frexp(floor(most))[1] + 1 if most >= 1 else 1
        return replace(self, whole=min(self.bits, max(self.whole, needed)))

    def __str__(self) -> str:
        return f"<{self.bits}, {self.whole}>"


def _most(raw: Raw) -> int:
    return int(np.abs(raw).max(initial=0))

"""Clocks and voltages from the delays of weights: a tile whose weights are all quick may be clocked faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from shoal.errors import InputError, LimitError
from shoal.machines.multipliers._table import MacTable

_STEPS = 60  # of the search for a voltage: each halves what is left


@dataclass(frozen=True)
class Supply:
    """What a voltage does: gates are as fast as (V − V_t)^a / V, and a change takes V².

    Source of the law: Sakurai and Newton, "Alpha-power law MOSFET model", IEEE J. Solid-State Circuits 25, 1990.
    """

    nominal_v: float = 0.9  # at which base clock and energies hold
    threshold_v: float = 0.35
    exponent: float = 1.3
    least_v: float = 0.6
    most_v: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold_v < self.least_v <= self.nominal_v <= self.most_v or not self.exponent > 0:
            raise InputError("no supply", needed="threshold < least ≤ nominal ≤ most, exponent above 0",
                             had=f"{self.threshold_v:g}, {self.least_v:g}, {self.nominal_v:g}, {self.most_v:g} V")  # fmt: skip

    def speed(self, volts: float) -> float:
        """How fast gates are, over nominal voltage.

        Raises:
            InputError: a voltage out of range.
        """
        if not self.least_v <= volts <= self.most_v:
            raise InputError("a voltage out of range", needed=f"{self.least_v:g} to {self.most_v:g} V",
                             had=f"{volts:g} V")  # fmt: skip
        return self._law(volts) / self._law(self.nominal_v)

    def volts(self, speed: float) -> float:
        """The lowest voltage in range at which gates are so fast, over nominal voltage.

        Raises:
            LimitError: no voltage in range makes them so fast.
        """
        low, high = self.least_v, self.most_v
        if self.speed(high) < speed:
            raise LimitError("no voltage makes gates so fast", needed=f"{speed:.3g} times nominal",
                             had=f"{self.speed(high):.3g} at {high:g} V")  # fmt: skip
        if self.speed(low) >= speed:
            return low
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.speed(middle) >= speed else (middle, high)
        return high

    def energy(self, volts: float) -> float:
        """Of a change, over nominal voltage."""
        return (volts / self.nominal_v) ** 2

    def _law(self, volts: float) -> float:
        return float((volts - self.threshold_v) ** self.exponent) / volts


@dataclass(frozen=True)
class Margins:
    """What a clock period holds besides the multiplier."""

    fixed: float = 5.0  # gate delays: accumulator (carry-save), clock to output, set-up
    guard: float = 0.1  # share added to the multiplier's delay: the simulation sees no glitches

    def __post_init__(self) -> None:
        if not (isfinite(self.fixed) and isfinite(self.guard) and self.fixed > 0 and self.guard >= 0):
            raise InputError("no clock period", where="margins", needed="fixed above 0, guard of at least 0",
                             had=f"{self.fixed:g} and {self.guard:g}")  # fmt: skip

    def period(self, delay: float) -> float:
        """Gate delays of a clock period."""
        return delay * (1 + self.guard) + self.fixed


@dataclass(frozen=True)
class Bound:
    """What weights have to keep to be of a level."""

    delay: float  # gate delays
    energy: float = inf  # of a product, on average


@dataclass(frozen=True)
class Level:
    """A clock, and the weights that may be multiplied with at it."""

    weights: tuple[int, ...]  # ascending
    delay: float  # of the slowest of them
    clock: float  # over base clock
    volts: float


@dataclass(frozen=True, eq=False)
class Clocks:
    """The levels of an array of one kind of multiplier; the first one takes all weights."""

    table: MacTable
    margins: Margins
    levels: tuple[Level, ...]
    period: float  # gate delays of a base clock period, at nominal voltage
    energy: float  # of a usual product: the mean of all weights of the multiplier that the array is made for
    supply: Supply

    def allowed(self, level: Level) -> float:
        """The longest delay that fits the level's period, at its voltage."""
        left = self.period / level.clock * self.supply.speed(level.volts) - self.margins.fixed
        return left / (1 + self.margins.guard)


def clocks(
    table: MacTable,
    bounds: Sequence[Bound],
    margins: Margins | None = None,
    supply: Supply | None = None,
    *,
    most: float = inf,
    base: MacTable | None = None,
) -> Clocks:
    """A level for all weights, and one for each bound, with all weights that keep it.

    Args:
        table: of the multiplier.
        bounds: none of them below what a weight of each sign takes.
        margins: of the period.
        supply: of the voltage.
        most: clock over base beyond which a level has a lower voltage instead; 1: all run at base clock.
        base: of the multiplier whose place this one takes: base clock and mean energy are its; none: its own.

    Raises:
        InputError: no bounds, or one that leaves no weight of a sign.
    """
    margin, law = margins or Margins(), supply or Supply()
    if not bounds:
        raise InputError("no level but the base clock", needed="at least one bound on the delay",
                         hint="shoal mac-table shows what bounds give")  # fmt: skip
    usual = base or table
    period = margin.period(usual.slowest)
    found = [tuple(int(each) for each in table.weights), *(_within(table, bound) for bound in bounds)]
    levels = tuple(_level(table, weights, margin, law, period, most) for weights in found)
    return Clocks(table, margin, levels, period, float(usual.energy.mean()), law)


def _within(table: MacTable, bound: Bound) -> tuple[int, ...]:
    weights = table.within(bound.delay, bound.energy)
    if weights and weights[0] < 0 < weights[-1]:
        return weights
    signs = [float(table.delay[table.weights * sign > 0].min()) for sign in (-1, 1)]
    raise InputError("no weights of both signs are so quick", where=table.multiplier,
                     needed=f"a bound of at least {max(signs):g} gate delays",
                     had=f"{bound.delay:g}, energy {bound.energy:g}")  # fmt: skip


def _level(
    table: MacTable, weights: tuple[int, ...], margins: Margins, supply: Supply, period: float, most: float
) -> Level:
    delay = max(float(table.delay[weight - int(table.weights[0])]) for weight in weights)
    able = period / margins.period(delay)
    clock = min(able, max(1.0, most))
    volts = supply.nominal_v if clock == able else supply.volts(clock / able)
    return Level(weights, delay, clock, volts)

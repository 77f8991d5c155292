"""What arrives: a closed window, an open-loop rate, or recorded times; with what each item brings."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from shoal.errors import InputError

MOST_ITEMS = 10_000_000  # each leaves a few hundred bytes in the run


@dataclass(frozen=True)
class Item:
    """What one kind of item brings."""

    entry: str = "main"
    session: int = -1  # -1: none
    bindings: Mapping[str, int] = field(default_factory=dict)  # named size → value
    deadline_s: float | None = None  # from its arrival
    label: str = ""  # its class, in reports


@dataclass(frozen=True)
class Workload:
    """How many items come, when, and of which kinds (`pattern`, taken in turn).

    closed: the next item is there as soon as the window has room. rate: open loop, Poisson if `poisson`.
    trace: at `times_s`. requests: whenever somebody asks, at most `items` of them.
    """

    items: int
    arrival: Literal["closed", "rate", "trace", "requests"] = "closed"
    window: int = 4
    rate_items_per_s: float = 0.0
    poisson: bool = False
    seed: int = 0
    times_s: tuple[float, ...] = ()
    pattern: tuple[Item, ...] = (Item(),)

    def __post_init__(self) -> None:
        if self.items < 1 or self.window < 1:
            raise InputError("a workload needs at least one item and a window of at least one")
        if self.items > MOST_ITEMS:
            raise InputError("too many items for one run", needed=f"at most {MOST_ITEMS:,}", had=f"{self.items:,}")
        if not self.pattern:
            raise InputError("a workload needs at least one kind of item")
        if self.arrival == "rate" and not 0 < self.rate_items_per_s < inf:
            raise InputError("a rate must be above zero and finite", had=f"{self.rate_items_per_s} items/s")
        if self.arrival == "trace":
            self._check_times()

    def _check_times(self) -> None:
        if len(self.times_s) != self.items:
            raise InputError("a trace needs one time per item", needed=str(self.items), had=str(len(self.times_s)))
        for number, time_s in enumerate(self.times_s):
            before_s = self.times_s[number - 1] if number else 0.0
            if not before_s <= time_s < inf:
                raise InputError(
                    "the times of a trace begin at zero or later and never go back",
                    where=f"item {number}", needed=f"at least {before_s} s", had=f"{time_s} s",
                )  # fmt: skip

    @property
    def sessions(self) -> int:
        """How many sessions the items are of; those of none are one."""
        return len({item.session for item in self.pattern})

    def item(self, number: int) -> Item:
        """What item `number` brings."""
        return self.pattern[number % len(self.pattern)]

    def arrivals_s(self) -> tuple[float, ...]:
        """When each item arrives, as far as that is known before.

        A closed workload's are all zero (the window holds them back); of requests nothing is known.
        """
        if self.arrival in ("trace", "requests"):
            return self.times_s
        if self.arrival == "closed":
            return (0.0,) * self.items
        return _at_rate(self)


def _at_rate(workload: Workload) -> tuple[float, ...]:
    rate = workload.rate_items_per_s
    if not workload.poisson:
        return tuple(number / rate for number in range(workload.items))
    source, now = random.Random(workload.seed), 0.0
    times = []
    for _ in range(workload.items):
        times.append(now)
        now += source.expovariate(rate)
    return tuple(times)

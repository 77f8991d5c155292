"""What may go otherwise than planned in a simulated run: noise, and faults of units and links.

Noise comes from a counter-based source: a factor is a function of (seed, item, name) and of nothing else, so the same
item meets the same noise whichever plan runs and in whichever order things happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from statistics import NormalDist
from typing import Literal

from shoal.errors import InputError
from shoal.program import Pace

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Noise:
    """Each run and each transfer takes its seconds × a factor of mean 1, drawn for it alone.

    normal: N(1, sigma). lognormal: of mean 1 and standard deviation sigma. Either is clipped at `floor`, which
    raises the mean of a wide normal. A transfer's factor holds for its bytes over the rate at every hop; latencies
    stay what they are.
    """

    run_sigma: float = 0.0
    transfer_sigma: float = 0.0
    kind: Literal["normal", "lognormal"] = "normal"
    seed: int = 0
    floor: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.run_sigma < inf and 0 <= self.transfer_sigma < inf and 0 < self.floor <= 1):
            raise InputError("noise needs sigmas of zero or more and a floor above 0, at most 1", had=str(self))
        if self.kind not in ("normal", "lognormal"):
            raise InputError(f"no noise is '{self.kind}'", hint="known: normal, lognormal")

    def of_run(self, item: int, segment: str) -> float:
        """By what the seconds of `segment` are multiplied for `item`."""
        return self._factor(self.run_sigma, f"run {item} {segment}")

    def of_transfer(self, item: int, edge: str) -> float:
        """By what the seconds of a transfer are multiplied."""
        return self._factor(self.transfer_sigma, f"transfer {item} {edge}")

    def _factor(self, sigma: float, key: str) -> float:
        if not sigma:
            return 1.0
        digest = blake2b(f"{self.seed} {key}".encode(), digest_size=7).digest()
        normal = _NORMAL.inv_cdf(((int.from_bytes(digest) >> 4) + 0.5) / 2**52)
        if self.kind == "normal":
            return max(self.floor, 1.0 + sigma * normal)
        spread = math.log1p(sigma * sigma)  # the variance of the logarithm, for mean 1 and deviation sigma
        return max(self.floor, math.exp(math.sqrt(spread) * normal - spread / 2))


@dataclass(frozen=True)
class UnitDies:
    """At `at_s` a unit is gone, with what it held and what would have ended at that very moment."""

    unit: str
    at_s: float


@dataclass(frozen=True)
class UnitReturns:
    """At `at_s` a unit that died can be used again, with nothing of what it held."""

    unit: str
    at_s: float


@dataclass(frozen=True)
class UnitSlows:
    """Between two moments a unit takes `factor` times as long, for the part of a run that falls between them."""

    unit: str
    factor: float
    from_s: float
    to_s: float = inf


@dataclass(frozen=True)
class LinkSlows:
    """Between two moments a link moves bytes at `rate` times its rate; at 0 it is down and messages wait.

    `link` is a medium of the Pace, or a link's name, which stands for both of its directions.
    """

    link: str
    rate: float
    from_s: float
    to_s: float = inf


Fault = UnitDies | UnitReturns | UnitSlows | LinkSlows


@dataclass(frozen=True)
class Scenario:
    """What goes otherwise than the Pace says; nothing by default."""

    noise: Noise | None = None
    faults: tuple[Fault, ...] = ()

    def check(self, units: Iterable[str], paces: Iterable[Pace]) -> None:
        """Refuse faults of what does not exist, or that make no sense.

        Raises:
            InputError: naming the fault, what it needs and what is known.
        """
        if not self.faults:
            return
        known, media = set(units), {hop.medium for pace in paces for hops in pace.hops.values() for hop in hops}
        for fault in self.faults:
            if isinstance(fault, LinkSlows):
                if not any(of_link(medium, fault.link) for medium in media):
                    raise InputError(f"no message crosses a link '{fault.link}'", hint=_known(media))
            elif fault.unit not in known:
                raise InputError(f"no program has a unit '{fault.unit}'", hint=_known(known))
            _check_times(fault)

    def turns(self) -> tuple[UnitDies | UnitReturns, ...]:
        """The units that die or return, the first one first."""
        turns = (fault for fault in self.faults if isinstance(fault, UnitDies | UnitReturns))
        return tuple(sorted(turns, key=lambda fault: fault.at_s))


def of_link(medium: str, link: str) -> bool:
    """Whether `medium` is the link's: itself, or one of its directions."""
    return medium == link or medium.startswith(f"{link}:")


def _known(names: Iterable[str]) -> str:
    return f"known: {', '.join(sorted(names)[:20]) or 'none'}"


def _check_times(fault: Fault) -> None:
    if isinstance(fault, UnitDies | UnitReturns):
        if not 0 <= fault.at_s < inf:
            raise InputError("a unit dies, or returns, at zero or later", where=str(fault))
        return
    if not 0 <= fault.from_s < fault.to_s:
        raise InputError("a fault ends after it begins, and begins at zero or later", where=str(fault))
    if isinstance(fault, UnitSlows) and not 0 < fault.factor < inf:
        raise InputError("a unit slows by a factor above zero", where=str(fault), hint="use UnitDies to stop it")
    if isinstance(fault, LinkSlows) and not 0 <= fault.rate < inf:
        raise InputError("a link's rate changes by a factor of zero or more", where=str(fault))

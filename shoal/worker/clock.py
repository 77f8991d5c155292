"""Seconds since the run began, on a clock that never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal.errors import WireError
from shoal.program import CLIENT
from shoal.wire import boot_id

LONGEST_S = 1e6  # of one wait: Python's end at about 9e9 s, and who has waited so long may look again


class Clock:
    """The run's time on this machine.

    `source_s` counts seconds that never go back, alike for all processes of the machine that `boot` names.
    """

    def __init__(self, source_s: Callable[[], float] = time.monotonic, boot: str | None = None) -> None:
        self.source_s, self.boot = source_s, boot_id() if boot is None else boot
        self._origin_s = source_s()

    @property
    def origin(self) -> dict[str, float | str]:
        """The origin in a form that another process of this machine can take over."""
        return {"monotonic_s": self._origin_s, "boot": self.boot}

    def follow(self, origin: Any) -> None:
        """Take over the coordinator's origin, which it gives on this machine's clock.

        An origin on another machine's clock is of no use: then begin now, off by the message's way here.

        Raises:
            WireError: that is no origin.
        """
        match origin:
            case {"monotonic_s": float(origin_s), "boot": str(boot)}:
                self._origin_s = origin_s if boot == self.boot else self.source_s()
            case _:
                raise WireError("sent no time to count from", where=CLIENT, had=repr(origin))

    def now_s(self) -> float:
        """Seconds since the origin."""
        return self.source_s() - self._origin_s

    def sleep_until(self, time_s: float) -> None:
        """Sleep to an absolute time, so that late wakes do not add up."""
        while (remaining_s := time_s - self.now_s()) > 0:
            time.sleep(min(remaining_s, LONGEST_S))


@dataclass(frozen=True)
class Offset:
    """How far another machine's clock is ahead of ours, at most `error_s` off."""

    ahead_s: float
    error_s: float
    boot: str

    def there(self, origin: Mapping[str, Any]) -> dict[str, float | str]:
        """The `origin` of a Clock of ours on the other machine's clock."""
        return {"monotonic_s": origin["monotonic_s"] + self.ahead_s, "boot": self.boot}


def offset(
    ask_s: Callable[[], float], boot: str, rounds: int = 8, now_s: Callable[[], float] = time.monotonic
) -> Offset:
    """How far the clock that `ask_s` reads, over a wire, is ahead of ours.

    The other reads its clock somewhere between question and answer; taking the middle is wrong by at most half
    of the round trip, so the shortest of all rounds counts (Cristian 1989).
    """
    found = []
    for _ in range(rounds):
        asked_s = now_s()
        there_s = ask_s()
        answered_s = now_s()
        found.append(Offset(there_s - (asked_s + answered_s) / 2, (answered_s - asked_s) / 2, boot))
    return min(found, key=lambda each: each.error_s)

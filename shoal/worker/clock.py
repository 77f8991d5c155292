"""Seconds since the run began, on a clock that never goes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from shoal.errors import WireError
from shoal.program import CLIENT


class Clock:
    """The run's time on this machine."""

    def __init__(self) -> None:
        self._origin_s = time.monotonic()

    @property
    def origin(self) -> dict[str, float | str]:
        """The origin in a form that another process of this machine can take over."""
        return {"monotonic_s": self._origin_s, "boot": _boot()}

    def follow(self, origin: Any) -> None:
        """Take over the coordinator's origin; on another machine, begin now (off by the message's way here).

        Raises:
            WireError: that is no origin.
        """
        match origin:
            case {"monotonic_s": float(origin_s), "boot": str(boot)}:
                self._origin_s = origin_s if boot == _boot() else time.monotonic()
            case _:
                raise WireError("sent no time to count from", where=CLIENT, had=repr(origin))

    def now_s(self) -> float:
        """Seconds since the origin."""
        return time.monotonic() - self._origin_s

    def sleep_until(self, time_s: float) -> None:
        """Sleep to an absolute time, so that late wakes do not add up."""
        remaining_s = time_s - self.now_s()
        if remaining_s > 0:
            time.sleep(remaining_s)


def _boot() -> str:
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else ""

"""Calibration samples of a network that is called over and over, such as a sampler's: what it is fed along its loop.

What it sees at the first step is not what it sees at the last, so that samples of one step would calibrate for that
step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Arrays = Mapping[str, NDArray[Any]]


def spread(calls: int, count: int, until: float = 1.0) -> frozenset[int]:
    """So many of a loop's calls, as evenly as can be, the first among them.

    Args:
        calls: of one round of the loop.
        count: of these to be chosen.
        until: share of the loop that they are in, 1 for all of it.

    Raises:
        InputError: there are not so many.
    """
    last = round(calls * until)
    if not 1 <= count <= last:
        raise InputError("no such calls to calibrate with", needed=f"1 to {last}", had=str(count))
    return frozenset(np.linspace(0, last - 1, count).round().astype(int).tolist())


class Recorder:
    """Runs a network, and keeps what it was fed at the chosen calls of each round of a loop."""

    def __init__(self, run: Callable[[Arrays], NDArray[Any]], calls: int, chosen: frozenset[int]) -> None:
        """What to run, how many calls a round has, and which of them to keep.

        Raises:
            InputError: none of its calls is chosen.
        """
        if not chosen & set(range(calls)):
            raise InputError(
                "no calibration samples", needed=f"some of the calls 0 to {calls - 1}", had=str(sorted(chosen))
            )
        self._run, self._calls, self._chosen, self._done = run, calls, chosen, 0
        self.samples: list[dict[str, NDArray[Any]]] = []

    def __call__(self, feeds: Arrays) -> NDArray[Any]:
        """What the network answers."""
        if self._done % self._calls in self._chosen:
            self.samples.append({name: each.copy() for name, each in feeds.items()})
        self._done += 1
        return self._run(feeds)

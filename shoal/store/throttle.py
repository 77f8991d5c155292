"""A tier held to a slower one's figures, by waiting: emulated, and said to be."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from shoal.store.contract import Tier
from shoal.store.values import Key, Record


class Throttled:
    """One channel of a rate and a latency before another tier; reads queue for it as they come.

    What the inner tier takes counts as part of it: an inner tier that is slower than the figures stays slower. A record that
    is read piece by piece goes on while its last piece is looked at, as it would in one read.
    """

    def __init__(self, inner: Tier, read_bytes_per_s: float, latency_s: float = 0.0) -> None:
        self._inner = inner
        self.figures = replace(inner.figures, read_bytes_per_s=read_bytes_per_s, latency_s=latency_s, emulated=True)
        self._channel = threading.Lock()
        self._free_s, self._at = 0.0, (Key(-1), 0)  # where the line goes on, if it does

    @property
    def records(self) -> Mapping[Key, Record]:
        """See `Tier`."""
        return self._inner.records

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        with self._channel:
            going_on = offset > 0 and self._at == (key, offset)
            takes_s = self.figures.read_s(len(into), going_on=going_on)
            lead_s = takes_s if going_on else 0.0  # the line is ahead by what is asked for, no further
            self._free_s = due_s = max(time.monotonic() - lead_s, self._free_s) + takes_s
            self._at = key, offset + len(into)
        self._inner.read(key, into, offset)
        time.sleep(max(0.0, due_s - time.monotonic()))

    def close(self) -> None:
        """See `Tier`."""
        self._inner.close()

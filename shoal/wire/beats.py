"""Signs of life on connections: who is frozen, or behind a cut link, ends no connection by itself.

How long a connection has been silent is the kernel's to say: it knows of every byte when it came, also of a large
payload that trickles in, and whether or not our own threads had a chance to read it. So a machine that is merely
busy condemns nobody for what it has not read yet.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Protocol

from shoal.program import Flag, Header
from shoal.program.message import CONTROL_EDGE

BEAT = Header(CONTROL_EDGE, flags=Flag.CONTROL | Flag.BEAT)
LOOKS = 4  # a beat


class Alive(Protocol):
    """A connection that is kept alive."""

    def beat(self) -> None:
        """Give a sign of life."""

    def idle_s(self) -> float:
        """Seconds since anything was sent."""

    def check(self, awake_s: float) -> None:
        """End it if the peer is silent; we were last held up ourselves `awake_s` ago."""


class Beats:
    """A thread that gives signs of life on idle connections, and looks for those of the peers."""

    def __init__(self, connections: Collection[Alive], beat_s: float) -> None:
        self._connections, self._beat_s = tuple(connections), beat_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shoal beats", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        look_s = self._beat_s / LOOKS
        for connection in self._connections:
            connection.beat()
        asleep_s = held_up_s = time.monotonic()
        while not self._over.wait(look_s):
            now_s = time.monotonic()
            if now_s - asleep_s > self._beat_s:  # frozen, or a machine so busy that peers may be held up too
                held_up_s = now_s
            asleep_s = now_s
            for connection in self._connections:
                connection.check(now_s - held_up_s)
                if connection.idle_s() >= self._beat_s - look_s:
                    connection.beat()

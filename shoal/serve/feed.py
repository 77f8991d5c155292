"""The service's life as server-sent events: a state every second, happenings at once, and what was before."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool

from shoal import codec
from shoal.live import Backend, Busy, Happening, ServiceState

EVERY_S = 1.0
SOON_S = 0.1  # between two states, however much happens
KEPT = 600  # states of which the figures for the charts are kept: ten minutes if nothing happens
MOST_LISTENERS = 64
MOST_WAITING = 256  # events; a listener that falls so far behind is let go and may come again
SENT_AT_FIRST = 200  # happenings

Event = tuple[int | None, bytes]  # number of a happening, and the event as it is sent


class Feed:
    """One look at the service a second, however many listen. Used on the event loop's thread."""

    def __init__(self, backend: Backend, looked: Callable[[ServiceState], None] = lambda _: None) -> None:
        """`looked` is told of every state."""
        self._backend, self._looked = backend, looked
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._points: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._latest: bytes = b""
        self._woken = asyncio.Event()  # something happened: look at once
        self._ended = False

    async def run(self) -> None:
        """Look and tell until cancelled."""
        loop = asyncio.get_running_loop()

        def told(happening: Happening) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                loop.call_soon_threadsafe(self._happened, happening)

        end = self._backend.listen(told)
        try:
            while True:
                state = await run_in_threadpool(self._backend.state)
                self._looked(state)
                self._points.append(_point(state))
                self._latest = _event("state", codec.encode(state))
                self._tell((None, self._latest))
                await asyncio.sleep(SOON_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), EVERY_S - SOON_S)
                self._woken.clear()
        finally:
            end()
            self.end()

    def end(self) -> None:
        """Let all listeners go."""
        self._ended = True
        for listener in self._listeners:
            _put(listener, None)

    def room(self) -> None:
        """Refuse one listener more than MOST_LISTENERS.

        Raises:
            Busy: there are as many.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Busy(5.0, len(self._listeners))

    async def events(self, after: int) -> AsyncIterator[bytes]:
        """What to send to one listener that knows the happenings up to `after`."""
        listener: asyncio.Queue[Event | None] = asyncio.Queue(MOST_WAITING)
        self._listeners.add(listener)
        try:
            yield _event("history", json.dumps(list(self._points)).encode())
            for happening in self._backend.happenings(after)[-SENT_AT_FIRST:]:
                after = happening.number
                yield _happening(happening)
            yield self._latest
            while not self._ended:
                came = await listener.get()
                if came is None:
                    return
                number, event = came
                if number is None or number > after:
                    yield event
        finally:
            self._listeners.discard(listener)

    def _happened(self, happening: Happening) -> None:
        self._tell((happening.number, _happening(happening)))
        self._woken.set()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            if listener.full():
                _put(listener, None)
            else:
                listener.put_nowait(event)


def _put(listener: asyncio.Queue[Event | None], event: Event | None) -> None:
    """Put `event` last, in place of the oldest if there is no room."""
    if listener.full():
        listener.get_nowait()
    listener.put_nowait(event)


def _point(state: ServiceState) -> dict[str, Any]:
    """What the charts draw of a state."""
    return {
        "time_s": state.time_s,
        "p50": state.latency_s.get("p50"),
        "p99": state.latency_s.get("p99"),
        "rate": state.throughput_items_per_s,
        "queued": state.queued,
    }


def _happening(happening: Happening) -> bytes:
    return b"id: %d\n" % happening.number + _event("happening", codec.encode(happening))


def _event(name: str, data: bytes) -> bytes:
    """One event; its data is JSON, which has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)

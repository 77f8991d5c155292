"""A device's side of requests: each on a thread of its own, what cannot be read or done answered with Failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from shoal.control.messages import failed, pack_reply, unpack_request
from shoal.control.values import Failed, Reply, Request
from shoal.errors import ShoalError

LOG = logging.getLogger("shoal.control")
MOST_AT_ONCE = 16
CLOSE_S = 5.0  # how long what is being sent may take when all ends

Handler = Callable[[Request], Reply]


class Handling:
    """Takes requests as bytes and sends replies as bytes. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handler: Handler | None = None
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._turn = threading.Condition()
        self._sending, self._closed = 0, False

    def close(self) -> None:
        """Send nothing any more; what is being sent now is sent first, handlers are not waited for.

        A thread that is inside a transport's own code when Python ends would abort the process.
        """
        with self._turn:
            self._closed = True
            self._turn.wait_for(lambda: not self._sending, CLOSE_S)

    def take(self, data: bytes, send: Callable[[bytes], None], end: Callable[[], None] = lambda: None) -> None:
        """Answer the request `data` by way of `send`, soon, on another thread; then call `end`, whatever happened.

        After `close` neither is called.
        """
        if not self._places.acquire(blocking=False):
            why = Failed("WorkError", f"{MOST_AT_ONCE} requests are being answered already")
            self._send(self._refusal(why), send, end)
            return
        threading.Thread(target=self._answer, args=(data, send, end), name="request", daemon=True).start()

    def _answer(self, data: bytes, send: Callable[[bytes], None], end: Callable[[], None]) -> None:
        try:
            reply = self._reply(data)
        finally:
            self._places.release()
        self._send(reply, send, end)

    def _send(self, reply: bytes, send: Callable[[bytes], None], end: Callable[[], None]) -> None:
        with self._turn:
            if self._closed:
                return
            self._sending += 1
        try:
            send(reply)
        finally:
            try:
                end()
            finally:
                with self._turn:
                    self._sending -= 1
                    self._turn.notify_all()

    def _reply(self, data: bytes) -> bytes:
        try:
            request = unpack_request(data, self.name)
        except ShoalError as fault:
            return self._refusal(failed(fault))
        if self.handler is None:
            return self._refusal(Failed("WorkError", f"{self.name}: takes no requests yet"))
        try:
            return pack_reply(self.handler(request))
        except ShoalError as fault:
            LOG.info("%s: a request failed: %s", self.name, fault.message)
            return pack_reply(failed(fault))
        except Exception as fault:  # who asked must hear of a defect too
            LOG.exception("%s: answering a request failed", self.name)
            return pack_reply(Failed(type(fault).__name__, f"a defect of shoal there: {fault}"[:1000]))

    def _refusal(self, why: Failed) -> bytes:
        LOG.warning("refused a request: %s", why.message)
        return pack_reply(why)

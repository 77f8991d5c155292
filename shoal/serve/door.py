"""The way of one request: let in, read, handed over, awaited, answered."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from shoal.errors import LimitError
from shoal.live import Backend, Busy, Unavailable
from shoal.serve.bodies import Deadline
from shoal.serve.faults import Gone
from shoal.serve.metrics import Metrics

Arrays = Mapping[str, NDArray[Any]]

SPARE = 32  # requests read or written beside those that the service holds


class Door:
    """Where requests come in. What is let in at once is bounded, and so is the memory that bodies take."""

    def __init__(self, backend: Backend, metrics: Metrics) -> None:
        state = backend.state()
        self._backend, self._metrics = backend, metrics
        self._most = state.queue_limit + state.window + SPARE
        self._inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request in and out, before its body is read.

        Raises:
            Busy: too many are being dealt with.
        """
        with self._metrics.counted():
            if self._inside >= self._most:
                raise Busy(1.0, self._inside)
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1

    async def outputs(self, request: Request, inputs: Arrays, deadline: Deadline) -> Arrays:
        """The service's answer; the item is given up if the client leaves or the deadline passes.

        Raises:
            InputError, Busy, Unavailable, LimitError: what the service says.
            Gone: the client left.
        """
        left_s = deadline.left_s()
        future = await run_in_threadpool(self._backend.submit, inputs, left_s)
        answer = asyncio.wrap_future(future)
        left = asyncio.ensure_future(_left(request))
        try:
            both: set[asyncio.Future[Any]] = {answer, left}
            await asyncio.wait(both, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if left.done():
                raise Gone("the client left before its answer was there")
            raise LimitError("the deadline passed", needed=f"an answer within {deadline.seconds:g} s")
        except asyncio.CancelledError as fault:
            if not future.cancelled():
                raise  # it is this request that is given up
            raise Unavailable("the item was given up", hint="the service is ending") from fault
        finally:
            left.cancel()
            future.cancel()
            answer.cancel()


def retry_after(fault: Busy) -> str:
    """The header: whole seconds, at least one."""
    return str(max(1, math.ceil(min(fault.retry_after_s, 3600.0))))


async def _left(request: Request) -> None:
    """Wait until the client has gone; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

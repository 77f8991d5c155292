"""uvicorn's server with an end of our own: what was taken is answered before anything is closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator

import uvicorn

LINGER_S = 0.5  # for clients with a connection still open: whoever asks meanwhile is told to go elsewhere


class Draining(uvicorn.Server):
    """While it drains, new requests are told so rather than turned away at the socket."""

    def __init__(
        self, config: uvicorn.Config, drain: Callable[[], Awaitable[bool]], began: Callable[[], None]
    ) -> None:
        """`drain` ends what was taken, and says whether all of it was; `began` is told once connections are taken."""
        super().__init__(config)
        self._drain, self._began = drain, began
        self._task: asyncio.Task[None] | None = None
        self.drained, self.interrupted = True, False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._began()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Have SIGTERM and SIGINT end the server; uvicorn would raise them again afterwards, and exit with them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.end)
        try:
            yield
        finally:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)

    def end(self) -> None:
        """Drain and end; asked twice, end at once."""
        if self._task is None:
            self.drained = False
            self._task = asyncio.get_running_loop().create_task(self._end())
        else:
            self.interrupted = self.should_exit = self.force_exit = True
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a traceback for each thing cut short

    async def _end(self) -> None:
        done = await self._drain()
        until_s = time.monotonic() + LINGER_S
        while self.server_state.connections and not self.force_exit and time.monotonic() < until_s:
            await asyncio.sleep(LINGER_S / 20)
        self.drained, self.should_exit = done, True

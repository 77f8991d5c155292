"""uvicorn's server with an end of our own: what was taken is answered before anything is closed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator

import uvicorn


class Draining(uvicorn.Server):
    """While it drains, new requests are told so rather than turned away at the socket."""

    def __init__(
        self, config: uvicorn.Config, drain: Callable[[], Awaitable[bool]], began: Callable[[], None]
    ) -> None:
        """`drain` ends what was taken, and says whether all of it was; `began` is told once connections are taken."""
        super().__init__(config)
        self._drain, self._began = drain, began
        self._task: asyncio.Task[None] | None = None
        self.drained = True

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
            self._task = asyncio.get_running_loop().create_task(self._end())
        else:
            self.drained, self.should_exit, self.force_exit = False, True, True

    async def _end(self) -> None:
        done = await self._drain()
        self.drained = done and not self.force_exit
        self.should_exit = True

"""What stands between a front (HTTP, a test, a program) and a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from numpy.typing import NDArray

from shoal.errors import WorkError
from shoal.live.values import Happening, ServiceState, Signature

Arrays = Mapping[str, NDArray[Any]]


class Busy(WorkError):
    """The queue is full; `retry_after_s` is when there is probably room again."""

    def __init__(self, retry_after_s: float, waiting: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("the queue is full", had=f"{waiting} requests", hint=f"try again in {retry_after_s:.1f} s")


class Unavailable(WorkError):
    """Nobody is there to do the work, or the service is ending."""


class Backend(Protocol):
    """A service. Safe to use from several threads."""

    @property
    def signature(self) -> Signature:
        """What a request carries and gets."""

    def submit(self, inputs: Arrays, deadline_s: float | None = None) -> Future[Arrays]:
        """Take one item; its outputs come in the future.

        The future fails with Unavailable or LimitError (the deadline, in seconds from now, passed). Giving up the
        future (`cancel`) drops the item if it has not begun.

        Raises:
            InputError: an array is missing, or has the wrong type or shape.
            Busy: the queue is full.
            Unavailable: the service is draining.
        """

    def state(self) -> ServiceState:
        """Everything, now. Cheap enough for once a second."""

    def happenings(self, after: int = -1) -> tuple[Happening, ...]:
        """What happened since the one numbered `after`; the latest thousand are kept."""

    def listen(self, told: Callable[[Happening], None]) -> Callable[[], None]:
        """Have `told` called with what happens from now on; returns what ends that."""

    def drain(self, timeout_s: float) -> bool:
        """Take no more, end what was taken; whether all of it ended in time."""

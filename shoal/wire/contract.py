"""What a transport is: the seam between parties, with an in-memory twin.

A transport carries tensors and control messages between the parties of one Program (the client and its units).
Each party holds one Endpoint. Sends within the window never wait for the reader; a peer that leaves is an
ordinary delivery, not an exception, because the coordinator must be able to say which items were lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.program import Header, Program


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message that came in. The array may be a view of a ring slot: valid until it is released.

    `array` has the header's dtype and shape; it is None for an empty message. For a control message it is the
    JSON as uint8, shape (payload_bytes,).
    """

    peer: str
    header: Header
    array: NDArray[Any] | None
    slot: int = -1  # the transport's own mark


@dataclass(frozen=True, slots=True)
class Left:
    """A peer's connection ended; `why` is for people."""

    peer: str
    why: str


class Endpoint(Protocol):
    """One party's end of all its connections. Used from one thread."""

    @property
    def sent_bytes(self) -> int:
        """Payload bytes of tensors sent so far (headers and control messages do not count)."""

    @property
    def received_bytes(self) -> int:
        """Payload bytes of tensors received so far."""

    def rates(self) -> Mapping[str, float]:
        """By peer: bytes per second that its link took lately when it was what limited sending; as far as known."""

    def buffer(self, edge: int, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic] | None:
        """Memory the next message on `edge` may be written into directly, or None if the transport has none.

        The array is handed back to `send` as it is; it counts as taken from then on.
        """

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Send to the target of the header's edge (or to `peer`, for control messages). C-contiguous arrays.

        Returns once the array may be reused by the caller. Sending to a peer that left does nothing: the loss
        is reported by `receive`.
        """

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery; waits at most `timeout_s` (None: for ever, 0: not at all), using no CPU."""

    def wake(self) -> None:
        """Let a `receive` that waits, or the next one, return None at once. The one method for other threads."""

    def release(self, delivery: Delivery) -> None:
        """Give the delivery's memory back. Must be called once for every delivery that has an array."""

    def close(self) -> None:
        """End all connections and free what they hold; safe to call twice."""


class Transport(Protocol):
    """A technique of `wire/transports`: how the parties of a program find each other."""

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> Endpoint:
        """The endpoint of the unit `name`.

        Listens at `address` ("" = choose one), tells it through `announce`, then waits until the client and
        every peer that an edge joins it to are connected.

        Raises:
            WireError: the address is in use, or a peer runs another program or protocol.
        """

    def client(self, program: Program, addresses: Mapping[str, str]) -> Endpoint:
        """The coordinator's endpoint.

        Connects to every unit at its address and tells each where the others are.

        Raises:
            WireError: a unit cannot be reached, or runs another program or protocol.
        """

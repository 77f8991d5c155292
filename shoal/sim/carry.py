"""Messages on their way in simulated time: over one hop after the other, through the queue of each medium."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from shoal.events import Kernel
from shoal.program import Media
from shoal.record import Span
from shoal.sim.books import Flight, Message, Spans, Way
from shoal.sim.scenario import Scenario
from shoal.sim.speeds import ChangingMedia

# At one moment: what arrives counts first, then what takes no time (sends, skipped segments, what the driver says
# to an answer), then the driver's own alarms, then epochs that are ready, and only then does a unit choose what to
# run.
ARRIVAL, INSTANT, WAKE, READY, CHOICE = range(5)


class Carrier:
    """Sends messages and says when they are there."""

    def __init__(self, kernel: Kernel, spans: Spans, scenario: Scenario, there: Callable[[Message], None]) -> None:
        self._kernel, self._spans, self._noise = kernel, spans, scenario.noise
        self._media = ChangingMedia(scenario.faults) if scenario.faults else Media()
        self._there = there
        self._known: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}  # edge and what an item binds → bytes

    def send(self, way: Way, flight: Flight, *, empty: bool) -> None:
        """Put a message of the flight's item on its way now."""
        size = 0
        if not empty:
            size = self._bytes(way, flight.start.bindings) if way.fixed_bytes is None else way.fixed_bytes
        way.sent_bytes += size
        place = -1
        if way.source is not None:
            way.source.sent_bytes += size
            place = self._spans.open()
        load = size if self._noise is None else size * self._noise.of_transfer(flight.start.item, way.edge.name)
        self._cross(Message(way, flight, size, load, self._kernel.now_s, place, empty))

    def deliver(self, message: Message) -> None:
        """Book a message that is there and was not lost."""
        way = message.way
        way.received_bytes += message.size
        if message.place >= 0 and way.source is not None:
            item, now_s = message.flight.start.item, self._kernel.now_s
            span = Span("transfer", way.source.name, way.name, item, message.sent_s, now_s, message.size)
            self._spans.close(message.place, span)

    def _cross(self, message: Message) -> None:
        """Put the message on its next hop, at whose end it is there or asks for the one after."""
        hops, now_s = message.way.hops, self._kernel.now_s
        if message.hop < len(hops):
            now_s = self._media.cross(hops[message.hop], message.load_bytes, now_s)
            message.hop += 1
        then = self._there if message.hop == len(hops) else self._cross
        self._kernel.at(now_s, partial(then, message), ARRIVAL)

    def _bytes(self, way: Way, bindings: Mapping[str, int]) -> int:
        """Payload bytes of an item whose size depends on what it binds; each is worked out once."""
        key = (way.name, tuple(bindings.items()))
        size = self._known.get(key)
        if size is None:
            size = self._known[key] = way.edge.spec.bytes({**way.sizes, **bindings})
        return size

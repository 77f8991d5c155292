"""Drive a Program whose workers are connected: start items as the driver says, gather answers, notice losses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from shoal.errors import WorkerDied, WorkError
from shoal.program import Driver, Pace, Program, Workload
from shoal.record import Observed
from shoal.run.flights import Flights, Inputs, Sink, Watch
from shoal.wire import Delivery, Endpoint, Left, boot_id
from shoal.worker import Clock, Offset, heard, offset, say

LOOK_S = 0.2  # how often dead workers are looked for while an answer of theirs is awaited
SETTLE_S = 0.002  # between two questions whether all is done
REAP_S = 0.3  # how long a worker whose connection ended may take to leave its last words

Reports = Mapping[str, Mapping[str, Any]]  # by unit


@dataclass(frozen=True)
class Outcome:
    """What happened; `failure` says why the run ended early, naming the unit and the items in flight."""

    observed: Observed
    failure: str = ""


class Coordinator:
    """Runs over connected workers, one after another."""

    def __init__(
        self,
        program: Program,
        endpoint: Endpoint,
        pace: Pace | None = None,
        patience_s: float = 60.0,
        watch: Watch = lambda: None,
    ) -> None:
        """`patience_s`: how long nothing may happen; `watch` tells of a worker that ended (unit, why)."""
        self._program, self._endpoint, self._pace = program, endpoint, pace
        self._patience_s, self._watch = patience_s, watch
        self._boots: dict[str, str] = {}  # by unit: what tells its machine's clock from another's
        self.offsets: Mapping[str, Offset] = {}  # of units on other machines, at the start of the latest run

    def wait_ready(self) -> dict[str, Mapping[str, Any]]:
        """Wait until every worker has its segments loaded; what each said of itself, by unit.

        Raises:
            WorkError: a worker failed while loading, or left.
        """
        found = self._gather("ready")
        self._boots = {unit: str(own["boot"]) for unit, own in found.items()}
        return found

    def run(self, driver: Driver, workload: Workload, inputs: Inputs, sink: Sink, stretch: float = 1.0) -> Outcome:
        """Run `workload`; answers go to `sink` as they come.

        `stretch`: emulate everything so many times slower, and divide the times by it afterwards. It lets this
        machine keep up with boards that together are faster than it.

        When a unit is lost the answers so far are kept, and the outcome says which unit and which items.

        Raises:
            InputError: an input is missing, or has the wrong type or shape.
            WorkError: a worker does not begin.
        """
        self.offsets = self._offsets()
        clock, carried = Clock(), self._carried()
        for unit in self._program.units:
            origin = self.offsets[unit].there(clock.origin) if unit in self.offsets else clock.origin
            say(self._endpoint, {"do": "start", "origin": origin, "stretch": stretch}, unit)
        self._gather("started")
        pace = self._pace.stretched(stretch) if self._pace else None
        flights = Flights(self._program, self._endpoint, pace, clock, inputs, sink)
        failure = flights.drive(driver, workload, self._patience_s, self._why)
        if failure:
            return Outcome(flights.observed({}).scaled(1 / stretch), failure)
        try:
            self._settle(carried)
            reports = self._ask({"do": "report"}, "report")
        except WorkError as fault:  # all answers are there: they are kept
            return Outcome(flights.observed({}).scaled(1 / stretch), fault.message)
        return Outcome(flights.observed(reports).scaled(1 / stretch))

    def stop(self) -> None:
        """Let the workers go."""
        for unit in self._program.units:
            say(self._endpoint, {"do": "stop"}, unit)

    def _offsets(self) -> dict[str, Offset]:
        """How far the clocks of units on other machines are ahead of ours."""
        elsewhere = {unit: boot for unit, boot in self._boots.items() if boot != boot_id()}
        return {unit: offset(partial(self._clock_s, unit), boot) for unit, boot in elsewhere.items()}

    def _clock_s(self, unit: str) -> float:
        say(self._endpoint, {"do": "clock"}, unit)
        return float(self._gather("clock", (unit,))[unit]["now_s"])

    def _carried(self) -> int:
        """Bytes sent by the client that nobody received, less those it received."""
        return self._endpoint.sent_bytes - self._endpoint.received_bytes

    def _settle(self, carried: int) -> None:
        """Wait for what no answer depends on: messages of newest and previous edges that nobody reads any more."""
        deadline_s = time.monotonic() + self._patience_s
        while time.monotonic() < deadline_s:
            units = self._ask({"do": "settle"}, "settled").values()
            under_way = sum(unit["sent_bytes"] - unit["received_bytes"] for unit in units)
            if not any(unit["pending"] for unit in units) and under_way + self._carried() == carried:
                return
            time.sleep(SETTLE_S)
        raise WorkError(f"all answers are there, but units are still at work after {self._patience_s:g} s")

    def _ask(self, message: Mapping[str, Any], word: str) -> dict[str, Mapping[str, Any]]:
        for unit in self._program.units:
            say(self._endpoint, message, unit)
        return self._gather(word)

    def _gather(self, word: str, units: tuple[str, ...] = ()) -> dict[str, Mapping[str, Any]]:
        """One message {"is": word} from each of `units` (none: all), in their order."""
        units = units or self._program.units
        found: dict[str, Mapping[str, Any]] = {}
        deadline_s = time.monotonic() + self._patience_s
        while len(found) < len(units):
            came = self._endpoint.receive(LOOK_S)
            lost = self._why(came)
            if lost is not None:
                raise WorkerDied(f"{lost[0]} is gone ({lost[1]})")
            if isinstance(came, Delivery) and came.header.control:
                message = heard(self._endpoint, came)
                if message.get("is") == "error":
                    raise WorkError(str(message["message"]), where=came.peer, hint=message.get("hint"))
                if message.get("is") == word:
                    found[came.peer] = message
            if time.monotonic() > deadline_s:
                missing = ", ".join(sorted(set(units) - set(found)))
                raise WorkError(f"no '{word}' from {missing} within {self._patience_s:g} s")
        return {unit: found[unit] for unit in units}

    def _why(self, came: Delivery | Left | None) -> tuple[str, str] | None:
        """Which worker is gone, and why; its own last words rather than that its connection ended."""
        if not isinstance(came, Left):
            return self._watch() if came is None else None
        deadline_s = time.monotonic() + REAP_S
        while time.monotonic() < deadline_s:
            known = self._watch()
            if known is not None and known[0] == came.peer:
                return known
            time.sleep(REAP_S / 30)
        return came.peer, came.why

"""The connected workers of one Program, and what they are asked between and around runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from shoal.errors import WorkerDied, WorkError
from shoal.program import Pace, Program
from shoal.wire import Delivery, Endpoint, Left, boot_id
from shoal.worker import Offset, answer_of, check_report, heard, offset, say

LOOK_S = 0.2  # how often dead workers are looked for while an answer of theirs is awaited
SETTLE_S = 0.002  # between two questions whether all is done
REAP_S = 0.3  # how long a worker whose connection ended may take to leave its last words

Watch = Callable[[], tuple[str, str] | None]  # a worker that ended, and why
Reports = Mapping[str, Mapping[str, Any]]  # by unit


class _Hearsay(NamedTuple):
    """What others say of a worker."""

    peer: str
    why: str
    until_s: float  # by then it has had time to say more itself


class Crew:
    """The workers of one Program. Used from one thread at a time."""

    def __init__(
        self,
        program: Program,
        endpoint: Endpoint,
        pace: Pace | None = None,
        patience_s: float = 60.0,
        watch: Watch | None = None,
    ) -> None:
        """`patience_s`: how long an answer may take; `watch` tells of a worker that ended (unit, why), where one can."""
        self.program, self.endpoint, self.pace = program, endpoint, pace
        self._patience_s, self._watch = patience_s, watch
        self._carried = 0
        self._hearsay: _Hearsay | None = None
        self._boots: dict[str, str] = {}  # by unit: what tells its machine's clock from another's
        self.offsets: Mapping[str, Offset] = {}  # of units on other machines, when the latest run began

    def wait_ready(self) -> dict[str, Mapping[str, Any]]:
        """Wait until every worker has its segments loaded; what each said of itself, by unit.

        Raises:
            WorkError: a worker failed while loading, or left.
        """
        found = self._gather("ready")
        self._boots = {unit: str(own["boot"]) for unit, own in found.items()}
        return found

    def begin(self, origin: Mapping[str, float | str], stretch: float, *, record: bool = True) -> None:
        """Let every worker count from here, on the clock of `origin`; without `record` it keeps no spans and facts.

        Raises:
            WorkError: a worker does not begin.
        """
        self._carried = self._under_way()
        elsewhere = {unit: boot for unit, boot in self._boots.items() if boot != boot_id()}
        self.offsets = {unit: offset(partial(self._clock_s, unit), boot) for unit, boot in elsewhere.items()}
        for unit in self.program.units:
            there = self.offsets[unit].there(origin) if unit in self.offsets else origin
            say(self.endpoint, {"do": "start", "origin": there, "stretch": stretch, "record": record}, unit)
        self._gather("started")

    def reports(self) -> Reports:
        """What each worker did since it began, once everything that was sent has been received and done.

        That is also what no answer depends on: messages of newest and previous edges that nobody reads any more.

        Raises:
            WorkError: a worker is lost, or still at work.
        """
        deadline_s = time.monotonic() + self._patience_s
        while time.monotonic() < deadline_s:
            units = self._ask({"do": "settle"}, "settled").values()
            between = sum(unit["sent_bytes"] - unit["received_bytes"] for unit in units)
            if not any(unit["pending"] for unit in units) and between + self._under_way() == self._carried:
                found = self._ask({"do": "report"}, "report")
                for unit, report in found.items():
                    check_report(report, self.program, unit)
                return found
            time.sleep(SETTLE_S)
        raise WorkError(f"all answers are there, but units are still at work after {self._patience_s:g} s")

    def ask_vitals(self) -> None:
        """Ask every worker how it is; the answers, {"is": "vitals"}, come as they come."""
        for unit in self.program.units:
            say(self.endpoint, {"do": "vitals"}, unit)

    def stop(self) -> None:
        """Let the workers go."""
        for unit in self.program.units:
            say(self.endpoint, {"do": "stop"}, unit)

    def why(self, came: Delivery | Left | None) -> tuple[str, str] | None:
        """Which worker is gone, given what came last, and why; rather its last words than that its line is dead."""
        if not isinstance(came, Left):
            known = self._watch() if self._watch is not None and came is None else None
            return known or self._overdue()
        deadline_s = time.monotonic() + REAP_S
        while self._watch is not None and time.monotonic() < deadline_s:
            known = self._watch()
            if known is not None and known[0] == came.peer:
                return known
            time.sleep(REAP_S / 30)
        return came.peer, came.why

    def told(self, unit: str, message: Mapping[str, Any]) -> tuple[str, str] | None:
        """Which worker cannot go on after what `unit` said, and why.

        What one says of another counts once that one had time to say more itself: `why` tells then.
        """
        match message:
            case {"is": "error", "message": why}:
                return unit, str(why)
            case {"is": "parted", "peer": peer, "why": why} if peer in self.program.units:
                self._hearsay = self._hearsay or _Hearsay(str(peer), f"{unit}: {why}", time.monotonic() + REAP_S)
                return None
            case _:
                return None

    def _overdue(self) -> tuple[str, str] | None:
        """A worker that others miss and that has said nothing of itself since."""
        said = self._hearsay
        return None if said is None or time.monotonic() < said.until_s else (said.peer, said.why)

    def _clock_s(self, unit: str) -> float:
        say(self.endpoint, {"do": "clock"}, unit)
        return float(self._gather("clock", (unit,))[unit]["now_s"])

    def _under_way(self) -> int:
        """Bytes sent by the client that nobody received, less those it received."""
        return self.endpoint.sent_bytes - self.endpoint.received_bytes

    def _ask(self, message: Mapping[str, Any], word: str) -> dict[str, Mapping[str, Any]]:
        for unit in self.program.units:
            say(self.endpoint, message, unit)
        return self._gather(word)

    def _gather(self, word: str, units: tuple[str, ...] = ()) -> dict[str, Mapping[str, Any]]:
        """One message {"is": word} from each of `units` (none: all), in their order."""
        units = units or self.program.units
        found: dict[str, Mapping[str, Any]] = {}
        deadline_s = time.monotonic() + self._patience_s
        while len(found) < len(units):
            came = self.endpoint.receive(LOOK_S)
            lost = self.why(came)
            if lost is not None:
                raise WorkerDied(f"{lost[0]} is gone ({lost[1]})")
            if isinstance(came, Delivery) and came.header.control:
                message = answer_of(heard(self.endpoint, came), came.peer)
                if message.get("is") == "error":
                    raise WorkError(str(message["message"]), where=came.peer, hint=message.get("hint"))
                if message.get("is") == word:
                    found[came.peer] = message
            if time.monotonic() > deadline_s:
                missing = ", ".join(sorted(set(units) - set(found)))
                raise WorkError(f"no '{word}' from {missing} within {self._patience_s:g} s")
        return {unit: found[unit] for unit in units}

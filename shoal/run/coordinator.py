"""Drive a Program whose workers are connected: start items as the driver says, gather answers, notice losses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from shoal.errors import WorkError
from shoal.program import Driver, Pace, Program, Workload
from shoal.record import Observed
from shoal.run.crew import Crew, Reports, Watch
from shoal.run.flights import Flights, Sink
from shoal.run.gather import gathered
from shoal.run.inputs import Inputs
from shoal.run.roster import Roster, Standby
from shoal.run.upkeep import Upkeep
from shoal.wire import Endpoint
from shoal.worker import Clock, Offset


@dataclass(frozen=True)
class Outcome:
    """What happened; `failure` says why the run ended early, naming the unit and the items in flight."""

    observed: Observed
    failure: str = ""
    notes: tuple[str, ...] = ()  # what went wrong without ending the run
    programs: Mapping[int, Program] = field(default_factory=dict)  # of the epochs that were there, as they ran
    parts: Mapping[int, Observed] = field(default_factory=dict)  # what happened in each of them


class Coordinator:
    """Runs over connected workers, one after another."""

    def __init__(
        self,
        program: Program,
        endpoint: Endpoint,
        pace: Pace | None = None,
        patience_s: float = 60.0,
        watch: Watch | None = None,
        others: Mapping[int, Standby] | None = None,
    ) -> None:
        """`patience_s`: how long nothing may happen; `watch` tells of a worker that ended (unit, why), where one can.

        `others`: the epochs that a driver may prepare and switch to; `program`'s own may be among them, to be had
        again after it was retired.
        """
        self._crew = Crew(program, endpoint, pace, patience_s, watch)
        self._roster = Roster(self._crew, others or {})
        self._first, self._patience_s = program.epoch, patience_s

    @classmethod
    def opening(cls, first: int, standbys: Mapping[int, Standby], patience_s: float = 60.0) -> Coordinator:
        """A coordinator that calls the workers of `first` now, and lets them go as it does with all others.

        Raises:
            WorkError: one of them does not start.
        """
        with ExitStack() as stack:
            crew = stack.enter_context(standbys[first].open())
            made = cls.over(crew, patience_s)
            made._roster = Roster(crew, standbys, stack.pop_all())
            return made

    @classmethod
    def over(cls, crew: Crew, patience_s: float = 60.0) -> Coordinator:
        """A coordinator of workers that are ready; whoever called them lets them go."""
        made = cls(crew.program, crew.endpoint, crew.pace, patience_s)
        made._crew, made._roster = crew, Roster(crew, {})
        return made

    def wait_ready(self) -> dict[str, Mapping[str, Any]]:
        """Wait until every worker has its segments loaded; what each said of itself, by unit.

        Raises:
            WorkError: a worker failed while loading, or left.
        """
        return self._crew.wait_ready()

    def run(
        self,
        driver: Driver,
        workload: Workload,
        inputs: Inputs,
        sink: Sink,
        stretch: float = 1.0,
        first: int | None = None,
        upkeep: Upkeep | None = None,
    ) -> Outcome:
        """Run `workload`; answers go to `sink` as they come.

        `stretch`: emulate everything so many times slower, and divide the times by it afterwards. It lets this
        machine keep up with boards that together are faster than it. The driver is told the boards' time.

        `first`: the epoch to begin in; none: that of the program the coordinator was made with.

        `upkeep`: what comes from outside while it runs, where it is kept up as a service.

        When a unit is lost the answers so far are kept, and the outcome says which unit and which items.

        Raises:
            InputError: an input is missing, or has the wrong type or shape, or the driver asks for an epoch that
                is not there.
            WorkError: a worker does not begin.
        """
        clock, roster = Clock(), self._roster
        begins = self._first if first is None else first
        chosen = upkeep or Upkeep()
        roster.begin(begins, clock.origin, stretch, record=chosen.remember is None)
        flights = Flights(roster, begins, clock, stretch, inputs, sink, chosen)
        failure = flights.drive(driver, workload, self._patience_s)
        if failure:
            return self._outcome(flights, [], failure, stretch)
        try:
            reports = [*roster.left(), *self._reports(flights.epochs)]
        except WorkError as fault:  # all answers are there: they are kept
            return self._outcome(flights, [], fault.message, stretch)
        return self._outcome(flights, reports, "", stretch)

    def stop(self) -> None:
        """Let the workers go."""
        self._crew.stop()
        self.close()

    @property
    def offsets(self) -> Mapping[str, Offset]:
        """How far the clocks of units on other machines were ahead when the latest run began."""
        return self._crew.offsets

    def close(self) -> None:
        """Let the workers of other epochs go; those that the coordinator was made with are their maker's."""
        self._roster.close()

    def _reports(self, epochs: tuple[int, ...]) -> list[tuple[Crew, Reports]]:
        """What those crews report that are still there; one of an earlier epoch may be gone by now, not the last."""
        there, found = self._roster.crews, []
        for epoch in epochs:
            if epoch not in there:
                continue
            try:
                found.append((there[epoch], there[epoch].reports()))
            except WorkError as fault:
                if epoch == epochs[-1]:
                    raise
                self._roster.notes.append(f"the workers of epoch {epoch} left no report: {fault.message}")
        return found

    def _outcome(
        self, flights: Flights, reports: list[tuple[Crew, Reports]], failure: str, stretch: float
    ) -> Outcome:
        whole, parts = gathered(flights.seen, [(crew.program.epoch, found) for crew, found in reports])
        return Outcome(
            whole.scaled(1 / stretch),
            failure,
            tuple(self._roster.notes),
            {crew.program.epoch: crew.program for crew, _ in reports},
            {epoch: part.scaled(1 / stretch) for epoch, part in parts.items()},
        )

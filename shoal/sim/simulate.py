"""Execute a Program, or the Programs of several epochs, with a driver in simulated time.

The simulator has no rules of its own: units pick steps with the same ReadySet, links queue with the same Media, and
the same driver decides. Only the seconds come from a Pace instead of a machine, and gates answer from a Trace. A
Scenario adds what goes otherwise: noise and faults.
"""

from __future__ import annotations

from collections.abc import Mapping

from shoal.errors import WorkError
from shoal.program import Driver, Epoch, Pace, Program, Workload, check, checked
from shoal.record import Observed, Trace
from shoal.sim.scenario import Scenario
from shoal.sim.simulation import Simulation, Trial

MAX_SPANS = 100_000


def simulate(
    program: Program,
    pace: Pace,
    driver: Driver,
    workload: Workload,
    trace: Trace | None = None,
    scenario: Scenario | None = None,
    *,
    max_spans: int = MAX_SPANS,
) -> Observed:
    """Run `program` on `workload` in simulated time.

    Args:
        program: what to execute; it is checked first.
        pace: seconds of each segment and the hops of each edge.
        driver: decides when items start.
        workload: what arrives.
        trace: answers of gates by (item, segment); a gate it does not mention says go. Other facts are not
            read: which message was the newest comes out of the times.
        scenario: noise and faults; none if not given.
        max_spans: how many spans are kept; beyond, they are counted and only their totals are exact.

    Raises:
        ProgramError: the program is invalid, or what the run amounts to does not add up, which is a defect.
        WorkError: the driver gave up, or items were left in flight.
        InputError: a fault of what does not exist.
    """
    return _finished(attempt(program, pace, driver, workload, trace, scenario, max_spans=max_spans))


def simulate_epochs(
    epochs: Mapping[int, Epoch],
    driver: Driver,
    workload: Workload,
    trace: Trace | None = None,
    first: int | None = None,
    scenario: Scenario | None = None,
    *,
    max_spans: int = MAX_SPANS,
) -> Observed:
    """Run `workload` in simulated time, beginning in the epoch `first` (none: the lowest), as `simulate` does.

    Segments and edges of epochs above 0 bear the names that `epoch_name` gives them. A unit does one thing at a
    time, whichever epoch it is for; of several it takes the oldest item's.

    Raises:
        InputError: the driver asks for an epoch that is not there.
        PlanError: items cannot be switched between the programs.
    """
    return _finished(_attempted(epochs, first, driver, workload, trace, scenario, max_spans))


def attempt(
    program: Program,
    pace: Pace,
    driver: Driver,
    workload: Workload,
    trace: Trace | None = None,
    scenario: Scenario | None = None,
    *,
    max_spans: int = MAX_SPANS,
) -> Trial:
    """The same as `simulate`, but what was done until a driver gave up is kept and returned.

    Raises:
        ProgramError: the program is invalid, or what the run amounts to does not add up, which is a defect.
        InputError: a fault of what does not exist.
    """
    epochs = {program.epoch: Epoch(program, pace)}
    return _attempted(epochs, program.epoch, driver, workload, trace, scenario, max_spans)


def _attempted(
    epochs: Mapping[int, Epoch],
    first: int | None,
    driver: Driver,
    workload: Workload,
    trace: Trace | None,
    scenario: Scenario | None,
    max_spans: int,
) -> Trial:
    for epoch in epochs.values():
        check(epoch.program)
    checked({number: epoch.program for number, epoch in epochs.items()})
    scenario = scenario or Scenario()
    scenario.check(
        (unit for epoch in epochs.values() for unit in epoch.program.units),
        (epoch.pace for epoch in epochs.values()),
    )
    first = min(epochs) if first is None else first
    return Simulation(epochs, first, driver, workload, trace or Trace(), scenario, max_spans).run()


def _finished(found: Trial) -> Observed:
    if found.failure:
        raise WorkError(found.failure)
    return found.observed

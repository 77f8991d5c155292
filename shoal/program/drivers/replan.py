"""Stream, and change to another prepared plan when the data that comes would go through it enough faster.

The runtime half of data-aware scheduling (DyPe, arXiv 2502.06304, 2025): before each group of items the features of
the coming item are read, and the pipeline changes over if gain × remaining items > cost of changing. What each plan's
period would be is predicted beforehand and given as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite

from shoal.errors import InputError
from shoal.program.driver import (
    Command,
    Event,
    Finished,
    Lost,
    Prepare,
    Ready,
    Retire,
    Stop,
    SwitchEpoch,
    Unready,
    WakeAt,
)
from shoal.program.drivers.stream import Stream, StreamState, fill, fitted
from shoal.program.values import Program
from shoal.program.workload import Workload


def bucket_of(value: int) -> int:
    """The log2 bucket of a feature: 0 of 1, 1 of 2 and 3, 2 of 4 to 7, …; -1 of 0."""
    return value.bit_length() - 1


@dataclass(frozen=True)
class Schedules:
    """The predicted period of each epoch, by the buckets of an item's features."""

    features: tuple[str, ...] = ()  # names of bindings that every item brings
    periods_s: Mapping[tuple[int, ...], Mapping[int, float]] = field(default_factory=dict)  # buckets → epoch → s

    def __post_init__(self) -> None:
        for buckets, row in self.periods_s.items():
            if len(buckets) != len(self.features):
                raise InputError(
                    "a row of schedules needs one bucket for each feature", where=str(buckets),
                    needed=", ".join(self.features) or "none", had=str(len(buckets)),
                )  # fmt: skip
            for epoch, period_s in row.items():
                if not (isfinite(period_s) and period_s > 0):
                    raise InputError(
                        "a predicted period is above zero and finite",
                        where=f"{buckets}, epoch {epoch}", had=f"{period_s} s",
                    )  # fmt: skip

    def row(self, bindings: Mapping[str, int]) -> Mapping[int, float]:
        """The predictions for an item with `bindings`: epoch → seconds; none if there is no row for it."""
        return self.periods_s.get(tuple(bucket_of(bindings[name]) for name in self.features), {})


@dataclass(frozen=True)
class ReplanState:
    """Where the stream stands, and what is known of the epochs."""

    stream: StreamState
    workload: Workload  # as it was given
    epoch: int
    programs: Mapping[int, Program]  # of the epochs that are ready
    failed: frozenset[int] = frozenset()
    favourite: int | None = None  # the epoch that the last groups would rather have, and how many of them
    votes: int = 0
    target: int | None = None  # the epoch that is changed to as soon as nothing is in flight
    decided_s: float = 0.0
    drained_s: float = 0.0  # how long items waited for the last change


@dataclass(frozen=True)
class Replan:
    """Start items in order, through the plan that suits them; predictions come in `table`."""

    table: Schedules = Schedules()
    group: int = 16  # items between two decisions
    patience: int = 2  # groups in a row that must favour the same plan
    hysteresis: float = 0.05  # share of the present period that a gain must exceed
    cost_s: float = 0.0  # what a change costs; once one was seen to cost more, that
    drain: bool = True  # let the pipe run empty first; false: start at once behind what is in flight
    keep: bool = False  # keep the workers of the plan that is left: quick to change back, but they hold memory
    window: int = 0  # items in flight; 0 = the workload's, at most the program's

    def begin(self, program: Program, workload: Workload) -> ReplanState:
        """Items 0, 1, … of `workload`; the first decision comes before the first item.

        Raises:
            InputError: options out of range, no such entry, or an item does not bring a feature of the table.
        """
        if self.group < 1 or self.patience < 1 or not 0 <= self.hysteresis < 1 or not 0 <= self.cost_s < inf:
            raise InputError(
                "replan's options are out of range",
                needed="group and patience of at least 1, hysteresis from 0 to below 1, cost_s of at least 0",
            )
        for number, item in enumerate(workload.pattern):
            missing = [name for name in self.table.features if name not in item.bindings]
            if missing:
                had = ", ".join(item.bindings) or "none"
                raise InputError(f"an item does not bring '{missing[0]}'", where=f"item {number}", had=had)
        stream = replace(Stream(self.window).begin(program, workload), until=0)
        return ReplanState(stream, workload, program.epoch, {program.epoch: program})

    def step(self, state: ReplanState, event: Event, time_s: float) -> tuple[ReplanState, tuple[Command, ...]]:
        """Fill the window; before each group see whether another plan would pay."""
        if state.stream.stopped:
            return state, ()
        match event:
            case Lost(unit=unit, why=why):
                stream = replace(state.stream, stopped=True)
                return replace(state, stream=stream), (Stop(f"{unit} is gone ({why})"),)
            case Finished(item=item):
                state = replace(state, stream=state.stream.finished(item))
            case Ready(epoch=epoch, program=program):
                state = replace(state, programs={**state.programs, epoch: program})
            case Unready(epoch=epoch):
                state = _without(state, epoch)
        return self._go(state, time_s)

    def _go(self, state: ReplanState, time_s: float) -> tuple[ReplanState, tuple[Command, ...]]:
        said: list[Command] = []
        while True:
            if state.target is None and _at_decision(state.stream, time_s):
                state, new = self._decide(state, time_s)
                said += new
            if state.target is not None and not (self.drain and state.stream.in_flight):
                state, new = self._change(state, state.target, time_s)
                said += new
            stream, new = fill(state.stream, time_s)
            state = replace(state, stream=stream)
            said += new
            if state.target is not None or not _at_decision(stream, time_s):
                break
        if state.target is None and _opened(stream).has_room and not stream.has_room:
            said.append(WakeAt(stream.arrivals_s[stream.next_item]))
        return state, tuple(said)

    def _decide(self, state: ReplanState, time_s: float) -> tuple[ReplanState, tuple[Command, ...]]:
        """Vote; with votes enough, prepare what is voted for, or let the pipe run empty if that is ready."""
        stream, wanted = state.stream, self._wanted(state)
        votes = state.votes + 1 if wanted == state.favourite else 1
        state = replace(state, favourite=wanted, votes=votes)
        onward = replace(state, stream=replace(stream, until=stream.next_item + self.group))
        if wanted == state.epoch or votes < self.patience:
            return onward, ()
        if wanted not in state.programs:
            return onward, (Prepare(wanted),)
        return replace(state, target=wanted, decided_s=time_s), ()

    def _wanted(self, state: ReplanState) -> int:
        """The epoch that the coming item should go through, counting what a change costs."""
        stream = state.stream
        row = self.table.row(state.workload.item(stream.next_item).bindings)
        able = {epoch: period_s for epoch, period_s in row.items() if epoch not in state.failed}
        if not able:
            return state.epoch
        best = min(able, key=lambda epoch: (able[epoch], epoch != state.epoch, epoch))
        now_s, best_s = able.get(state.epoch, inf), able[best]
        remaining = state.workload.items - stream.next_item
        pays = (now_s - best_s) * remaining > max(self.cost_s, state.drained_s)
        return best if best_s < (1 - self.hysteresis) * now_s and pays else state.epoch

    def _change(self, state: ReplanState, to: int, time_s: float) -> tuple[ReplanState, tuple[Command, ...]]:
        window, routes = fitted(state.programs[to], state.workload, self.window)
        stream = replace(
            state.stream,
            routes=routes,
            workload=replace(state.workload, window=window),
            until=state.stream.next_item + self.group,
        )
        left = () if self.keep else (Retire(state.epoch),)
        kept = {epoch: program for epoch, program in state.programs.items() if self.keep or epoch != state.epoch}
        changed = replace(
            state, stream=stream, epoch=to, programs=kept, target=None, favourite=None, votes=0,
            drained_s=time_s - state.decided_s,
        )  # fmt: skip
        return changed, (SwitchEpoch(to, state.decided_s), *left)


def _without(state: ReplanState, epoch: int) -> ReplanState:
    """The state once `epoch` is known to be out of reach."""
    programs = {number: program for number, program in state.programs.items() if number != epoch}
    gone = replace(state, programs=programs, failed=state.failed | {epoch})
    if state.target != epoch:
        return gone
    return replace(gone, target=None)  # the stream stands before a group: it decides anew


def _opened(stream: StreamState) -> StreamState:
    """The stream without its stop before the next group."""
    return replace(stream, until=None)


def _at_decision(stream: StreamState, time_s: float) -> bool:
    """Whether the next item begins a group, and could start now."""
    at_stop = stream.next_item == stream.until
    return at_stop and _opened(stream).has_room and stream.arrivals_s[stream.next_item] <= time_s

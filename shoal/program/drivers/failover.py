"""Keep answering while devices go and come back: what was in flight on lost ones begins again on those that are left.

For each device of the plan that serves, another plan without it is kept prepared, so that a loss costs a change of
plan and not a start of workers. A device that failed rests, each time twice as long, before it is used again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite

from shoal.errors import InputError
from shoal.program.driver import (
    Abandon,
    Arrived,
    Closing,
    Command,
    Drifted,
    Event,
    Finished,
    Found,
    Gone,
    Here,
    Lost,
    Prepare,
    Ready,
    Refuse,
    Retire,
    Seek,
    Start,
    Stop,
    SwitchEpoch,
    Unfound,
    Unready,
    WakeAt,
    Withdrawn,
)
from shoal.program.values import Program
from shoal.program.workload import Workload

Devices = frozenset[str]

FORGIVEN_S = 600.0  # a device that did not fail for so long rests as if it never had
LONGEST_REST_S = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item that was asked for and is not answered yet."""

    item: int
    entry: str
    session: int
    bindings: Mapping[str, int]
    arrived_s: float
    due_s: float = inf


@dataclass(frozen=True, slots=True)
class Known:
    """An epoch. `program` is there once its workers are."""

    uses: Devices
    period_s: float
    program: Program | None = None
    asked: bool = False  # for its workers
    failures: int = 0  # to be had, in a row
    not_before_s: float = 0.0  # when it may be asked for again


@dataclass(frozen=True, slots=True)
class Rest:
    """A device that failed: how often of late, when last, and until when it is left out."""

    times: int
    failed_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class FailoverState:
    """Who is there, what is known and prepared, and where every item is."""

    workload: Workload
    arrivals_s: tuple[float, ...]
    devices: Devices  # present
    known: Mapping[int, Known]
    epoch: int | None  # that serves; none: nobody does
    next_item: int = 0  # of the workload
    waiting: tuple[Wanted, ...] = ()
    flying: Mapping[int, tuple[int, int, Wanted]] = field(default_factory=dict)  # item → epoch, route, what
    rests: Mapping[str, Rest] = field(default_factory=dict)
    plans: Mapping[Devices, int | None] = field(default_factory=dict)  # what came of each Seek
    sought: frozenset[Devices] = frozenset()
    why: str = ""  # the last loss, for those who are refused
    draining: bool = False  # nothing begins until all that is in flight is answered: then the plan is changed
    settled_s: float = 0.0  # before which no other plan is changed to for its speed alone
    closing: bool = False
    stopped: bool = False


@dataclass(frozen=True)
class Failover:
    """Answer every item exactly once, on whoever is there. Programs with state are refused: it would be lost."""

    window: int = 0  # items in flight; 0 = the program's
    standbys: bool = True  # keep a plan prepared for the loss of each device that takes part
    wait: bool = False  # with nobody left, let items wait until they are due instead of refusing them at once
    period_s: float = inf  # predicted, of the first epoch; none: it is kept as long as it lasts
    rest_s: float = 2.0  # how long a device is left out after it failed; twice as long each time in a row
    hysteresis: float = 0.1  # share of the present period by which another plan must be better
    cost_s: float = 2.0  # of seconds of work, what a change of plan costs
    horizon_s: float = 600.0  # over which a change must pay
    drain: bool = False  # run empty before a change for speed, as emulated boards must
    dwell_s: float = 15.0  # after a change, how long no other is made for its speed alone

    def begin(self, program: Program, workload: Workload) -> FailoverState:
        """All devices of `program` are there.

        Raises:
            InputError: options out of range, a program with state, or an entry it does not have.
        """
        least_s = min(self.rest_s, self.cost_s, self.dwell_s)
        if not (0 <= self.hysteresis < 1 and least_s >= 0 and self.horizon_s > 0):
            raise InputError(
                "failover's options are out of range",
                needed="hysteresis from 0 to below 1, horizon_s above 0, the other seconds at least 0",
            )
        if program.states:
            raise InputError(
                f"the program keeps state '{program.states[0].name}', which a lost device takes with it",
                hint="run it with --driver stream",
            )
        entries = {item.entry for item in workload.pattern} if workload.arrival != "requests" else set()
        for entry in sorted(entries - set(program.entries)):
            raise InputError(f"the program has no entry '{entry}'", hint=f"known: {', '.join(program.entries)}")
        uses = program.devices
        known = {program.epoch: Known(uses, self.period_s, program, asked=True)}
        return FailoverState(workload, workload.arrivals_s(), uses, known, program.epoch)

    def step(self, state: FailoverState, event: Event, time_s: float) -> tuple[FailoverState, tuple[Command, ...]]:
        """Take the event in; then see to the plan, the standbys, and the items, in that order."""
        if state.stopped:
            return state, ()
        said: list[Command] = []
        if isinstance(event, Arrived | Withdrawn | Finished | Closing):
            state = _of_items(state, event, time_s)
        else:
            state = self._of_machines(state, event, time_s, said)
        if not isinstance(event, Arrived | Withdrawn | Finished | Closing) or (state.draining and not state.flying):
            state = self._house(state, time_s, said)
        state = self._fill(state, time_s, said)
        if not isinstance(event, Finished):
            said += _wakes(state, time_s)
        return state, tuple(said)

    def _of_machines(self, state: FailoverState, event: Event, time_s: float, said: list[Command]) -> FailoverState:
        match event:
            case Lost(unit=unit, why=why, epoch=epoch):
                device = unit.partition("/")[0]
                rests = {**state.rests, device: self._rest(state.rests.get(device), time_s)}
                state = replace(state, rests=rests, why=f"{unit} is gone ({why})", plans=_found(state.plans))
                said.append(Abandon(epoch))
                return _without(state, (epoch,))
            case Gone(device=device, why=why):
                return _gone(state, device, f"{device} is gone ({why})", said)
            case Here(device=device):
                return replace(state, devices=state.devices | {device}, plans=_found(state.plans))
            case Unready(epoch=epoch, why=why) if epoch in state.known:
                state = _without(replace(state, why=why), (epoch,))
                failures = state.known[epoch].failures + 1
                until_s = time_s + min(LONGEST_REST_S, self.rest_s * 2 ** (failures - 1))
                return _noted(state, epoch, replace(state.known[epoch], failures=failures, not_before_s=until_s))
            case Drifted(periods_s=periods_s):
                known = {
                    epoch: replace(each, period_s=periods_s.get(epoch, each.period_s))
                    for epoch, each in state.known.items()
                }
                return replace(state, known=known, plans={})
            case _:
                return _of_epochs(state, event)

    def _rest(self, before: Rest | None, time_s: float) -> Rest:
        """How long a device that fails now is left out."""
        times = before.times + 1 if before and time_s - before.failed_s < FORGIVEN_S else 1
        return Rest(times, time_s, time_s + min(LONGEST_REST_S, self.rest_s * 2 ** (times - 1)))

    def _house(self, state: FailoverState, time_s: float, said: list[Command]) -> FailoverState:
        """Serve with the best epoch that is ready, seek a better one, and keep standbys for losses to come."""
        rested = {device for device, rest in state.rests.items() if rest.until_s > time_s}
        usable = state.devices - rested
        if not usable and state.epoch is None:
            usable = state.devices  # better one that failed just now than nobody
        state = self._serve(state, usable, time_s, said)
        wants = [usable]
        if self.standbys and state.epoch is not None:
            uses = state.known[state.epoch].uses
            left = [usable - {device} or state.devices - {device} for device in sorted(uses)]
            wants += [devices for devices in left if devices]
        for devices in wants if usable else ():
            if devices not in state.plans and devices not in state.sought:
                state = replace(state, sought=state.sought | {devices})
                said.append(Seek(devices))
        wanted = [plan for each in wants if (plan := state.plans.get(each)) is not None]
        return self._keep(state, wanted, time_s, said)

    def _serve(self, state: FailoverState, usable: Devices, time_s: float, said: list[Command]) -> FailoverState:
        """Change to another epoch if none serves, or if it pays."""
        ready = [epoch for epoch, each in state.known.items() if each.program is not None and each.uses <= usable]
        best = min(ready, key=lambda epoch: (state.known[epoch].period_s, epoch), default=None)
        state = replace(state, draining=False)
        if best is None or best == state.epoch:
            return state
        if state.epoch is not None:
            if time_s < state.settled_s or not self._pays(state.known[state.epoch], state.known[best]):
                return state
            if self.drain and state.flying:
                return replace(state, draining=True)
            state = replace(state, settled_s=time_s + self.dwell_s)
        said.append(SwitchEpoch(best))
        return replace(state, epoch=best)

    def _pays(self, now: Known, other: Known) -> bool:
        if not isfinite(now.period_s):
            return False
        gain_s = (now.period_s - other.period_s) / now.period_s * self.horizon_s
        return other.period_s < (1 - self.hysteresis) * now.period_s and gain_s > self.cost_s

    def _keep(self, state: FailoverState, wanted: list[int], time_s: float, said: list[Command]) -> FailoverState:
        """Prepare the epochs that are wanted, and let those go that are ready and no more of use."""
        for epoch in dict.fromkeys(wanted):
            each = state.known[epoch]
            if not each.asked and each.not_before_s <= time_s and self._of_use(state, epoch, wanted):
                state = _noted(state, epoch, replace(each, asked=True))
                said.append(Prepare(epoch))
        flown = {epoch for epoch, _, _ in state.flying.values()}
        settled = not state.sought and all(
            state.known[epoch].program for epoch in wanted if state.known[epoch].asked
        )
        for epoch, each in state.known.items() if settled else ():
            if each.program is not None and epoch not in (state.epoch, *wanted, *flown):
                state = _noted(state, epoch, replace(each, program=None, asked=False))
                said.append(Retire(epoch))
        return _remembering(state, {state.epoch, *state.plans.values(), *flown})

    def _of_use(self, state: FailoverState, epoch: int, wanted: list[int]) -> bool:
        """Whether to prepare `epoch`: as a standby, or because changing to it pays."""
        if state.epoch is None or epoch != wanted[0]:
            return True
        return self._pays(state.known[state.epoch], state.known[epoch])

    def _fill(self, state: FailoverState, time_s: float, said: list[Command]) -> FailoverState:
        state = _refused_late(self._arrivals(state, time_s), time_s, said)
        program = state.known[state.epoch].program if state.epoch is not None else None
        if program is not None:
            state = self._begun(state, program, said)
        elif self._hopeless(state, time_s):
            why = f"no device is left: {state.why}" if state.why else "no device is there"
            if state.workload.arrival != "requests":
                said.append(Stop(why))
                return replace(state, stopped=True)
            said += [Refuse(each.item, why) for each in state.waiting]
            state = replace(state, waiting=())
        if self._over(state):
            said.append(Stop())
            state = replace(state, stopped=True)
        return state

    def _begun(self, state: FailoverState, program: Program, said: list[Command]) -> FailoverState:
        """Begin what waits, as far as the window has room."""
        room = 0 if state.draining else max(0, (self.window or program.window) - len(state.flying))
        for wanted in state.waiting[:room]:
            route = _route(program, state, wanted)
            said.append(Start(wanted.item, route, wanted.session, wanted.bindings, wanted.arrived_s))
            state = replace(state, flying={**state.flying, wanted.item: (program.epoch, route, wanted)})
        return replace(state, waiting=state.waiting[room:])

    def _arrivals(self, state: FailoverState, time_s: float) -> FailoverState:
        """What the workload has come up with by now; a closed one only fills the window."""
        workload, came = state.workload, list(state.waiting)
        program = state.known[state.epoch].program if state.epoch is not None else None
        room = min(self.window or workload.window, program.window) if program else workload.window
        number = state.next_item
        while workload.arrival != "requests" and number < workload.items and state.arrivals_s[number] <= time_s:
            if workload.arrival == "closed" and len(came) + len(state.flying) >= room:
                break
            item = workload.item(number)
            at_s = time_s if workload.arrival == "closed" else state.arrivals_s[number]
            due_s = inf if item.deadline_s is None else at_s + item.deadline_s
            came.append(Wanted(number, item.entry, item.session, item.bindings, at_s, due_s))
            number += 1
        return replace(state, waiting=tuple(came), next_item=number)

    def _hopeless(self, state: FailoverState, time_s: float) -> bool:
        """Whether nobody serves, and nobody is being prepared or sought, or will be soon."""
        coming = any(
            each.asked or (each.not_before_s > time_s and each.uses <= state.devices)
            for each in state.known.values()
        )
        return not (coming or state.sought or self.wait)

    def _over(self, state: FailoverState) -> bool:
        finite = state.workload.arrival != "requests"
        ended = state.next_item == state.workload.items if finite else state.closing
        return ended and not state.waiting and not state.flying


def _of_items(state: FailoverState, event: Event, time_s: float) -> FailoverState:
    match event:
        case Arrived():
            due_s = time_s + event.patience_s
            wanted = Wanted(event.item, event.entry, event.session, event.bindings, time_s, due_s)
            return replace(state, waiting=(*state.waiting, wanted))
        case Withdrawn(item=item):
            return replace(state, waiting=tuple(each for each in state.waiting if each.item != item))
        case Finished(item=item):
            return replace(state, flying={each: one for each, one in state.flying.items() if each != item})
        case _:
            return replace(state, closing=True)


def _of_epochs(state: FailoverState, event: Event) -> FailoverState:
    match event:
        case Ready(epoch=epoch, program=program) if epoch in state.known:
            return _noted(state, epoch, replace(state.known[epoch], program=program, failures=0))
        case Found(devices=devices, epoch=epoch, uses=uses, period_s=period_s):
            known = replace(state.known.get(epoch) or Known(uses, period_s), uses=uses, period_s=period_s)
            plans = {**state.plans, devices: epoch}
            return replace(_noted(state, epoch, known), plans=plans, sought=state.sought - {devices})
        case Unfound(devices=devices, why=why):
            plans = {**state.plans, devices: None}
            return replace(state, plans=plans, sought=state.sought - {devices}, why=why)
        case _:
            return state


def _wakes(state: FailoverState, time_s: float) -> Iterable[Command]:
    """When a device has rested, an item comes, or one that waits is due: the first of these."""
    times = [rest.until_s for rest in state.rests.values() if rest.until_s > time_s]
    times += [state.settled_s] if state.settled_s > time_s else []
    times += [each.not_before_s for each in state.known.values() if not each.asked and each.not_before_s > time_s]
    if state.workload.arrival in ("rate", "trace") and state.next_item < state.workload.items:
        times.append(state.arrivals_s[state.next_item])
    times += [each.due_s for each in state.waiting if each.due_s < inf]
    return (WakeAt(min(times)),) if times and not state.stopped else ()


def _noted(state: FailoverState, epoch: int, known: Known) -> FailoverState:
    return replace(state, known={**state.known, epoch: known})


def _remembering(state: FailoverState, of_use: set[int | None]) -> FailoverState:
    """Without the epochs that nobody speaks of any more: speeds that drift bring new ones for ever."""
    known = {epoch: each for epoch, each in state.known.items() if each.asked or epoch in of_use}
    return replace(state, known=known) if len(known) < len(state.known) else state


def _found(plans: Mapping[Devices, int | None]) -> Mapping[Devices, int | None]:
    """Without the devices for which there was no plan: there may be one now."""
    return {devices: epoch for devices, epoch in plans.items() if epoch is not None}


def _gone(state: FailoverState, device: str, why: str, said: list[Command]) -> FailoverState:
    """Without `device`, and whatever runs on it."""
    lost = [epoch for epoch, each in state.known.items() if device in each.uses and each.asked]
    said += map(Abandon, lost)
    plans = _found(state.plans)  # what the lost ones held is free
    return _without(replace(state, devices=state.devices - {device}, why=why, plans=plans), lost)


def _without(state: FailoverState, epochs: Iterable[int]) -> FailoverState:
    """These epochs have no workers any more: what they had in flight waits again, before all that never began."""
    lost = frozenset(epochs)
    again = sorted((one for epoch, _, one in state.flying.values() if epoch in lost), key=lambda one: one.item)
    known = {
        epoch: replace(each, program=None, asked=False) if epoch in lost else each
        for epoch, each in state.known.items()
    }
    return replace(
        state,
        known=known,
        epoch=None if state.epoch in lost else state.epoch,
        flying={item: one for item, one in state.flying.items() if one[0] not in lost},
        waiting=(*again, *state.waiting),
    )


def _refused_late(state: FailoverState, time_s: float, said: list[Command]) -> FailoverState:
    late = [each for each in state.waiting if each.due_s <= time_s]
    if not late:
        return state
    said += [
        Refuse(each.item, f"it was not begun {each.due_s - each.arrived_s:.3g} s after it came") for each in late
    ]
    return replace(state, waiting=tuple(each for each in state.waiting if each.due_s > time_s))


def _route(program: Program, state: FailoverState, wanted: Wanted) -> int:
    """The replica with the fewest items in flight for its share."""
    flying = Counter(route for epoch, route, _ in state.flying.values() if epoch == state.epoch)
    able = [index for index, route in enumerate(program.routes) if route.entry == wanted.entry]
    return min(able, key=lambda index: (flying[index] + 0.5) / program.routes[index].share)

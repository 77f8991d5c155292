"""Keep a window of items in flight, in order, until the workload is done."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shoal.errors import InputError
from shoal.program.driver import Command, Event, Finished, Lost, Start, Stop, WakeAt
from shoal.program.values import Program
from shoal.program.workload import Workload


@dataclass(frozen=True)
class StreamState:
    """Where the stream stands. An item of a session waits until the session's items of other entries are done."""

    routes: dict[str, int]  # entry → the route that serves it
    workload: Workload
    arrivals_s: tuple[float, ...]
    next_item: int = 0
    in_flight: frozenset[int] = frozenset()
    stopped: bool = False


@dataclass(frozen=True)
class Stream:
    """Start items in order, at most a window of them at once."""

    window: int = 0  # items in flight; 0 = the workload's, at most the program's

    def begin(self, program: Program, workload: Workload) -> StreamState:
        """Items 0, 1, … of `workload`, each through the first route of its entry.

        Raises:
            InputError: the program has no such entry.
        """
        for item in workload.pattern:
            if item.entry not in program.entries:
                raise InputError(
                    f"the program has no entry '{item.entry}'", hint=f"known: {', '.join(program.entries)}"
                )
        window = min(self.window or workload.window, program.window)
        routes = {entry: program.route_of(entry) for entry in program.entries}
        return StreamState(routes, replace(workload, window=window), workload.arrivals_s())

    def step(self, state: StreamState, event: Event, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
        """Fill the window; stop when the last item is done or a unit is lost."""
        if state.stopped:
            return state, ()
        match event:
            case Lost(unit=unit, why=why):
                return replace(state, stopped=True), (Stop(f"{unit} is gone ({why})"),)
            case Finished(item=item):
                return _fill(replace(state, in_flight=state.in_flight - {item}), time_s)
            case _:
                return _fill(state, time_s)


def _fill(state: StreamState, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
    commands: list[Command] = []
    while _has_room(state) and state.arrivals_s[state.next_item] <= time_s:
        number = state.next_item
        item = state.workload.item(number)
        came = state.arrivals_s[number] if state.workload.arrival != "closed" else time_s
        commands.append(Start(number, state.routes[item.entry], item.session, item.bindings, came))
        state = replace(state, next_item=number + 1, in_flight=state.in_flight | {number})
    if state.next_item == state.workload.items and not state.in_flight:
        return replace(state, stopped=True), (*commands, Stop())
    if _has_room(state):
        commands.append(WakeAt(state.arrivals_s[state.next_item]))
    return state, tuple(commands)


def _has_room(state: StreamState) -> bool:
    workload = state.workload
    if state.next_item >= workload.items or len(state.in_flight) >= workload.window:
        return False
    coming = workload.item(state.next_item)
    return not any(
        workload.item(number).session == coming.session >= 0 and workload.item(number).entry != coming.entry
        for number in state.in_flight
    )

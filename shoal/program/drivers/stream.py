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
    until: int | None = None  # start no item from this one on, for now; none: all of them

    @property
    def has_room(self) -> bool:
        """Whether the next item may begin as soon as it is there."""
        workload = self.workload
        limit = workload.items if self.until is None else self.until
        if self.next_item >= limit or len(self.in_flight) >= workload.window:
            return False
        coming = workload.item(self.next_item)
        return not any(
            workload.item(number).session == coming.session >= 0 and workload.item(number).entry != coming.entry
            for number in self.in_flight
        )


@dataclass(frozen=True)
class Stream:
    """Start items in order, at most a window of them at once."""

    window: int = 0  # items in flight; 0 = the workload's, at most the program's

    def begin(self, program: Program, workload: Workload) -> StreamState:
        """Items 0, 1, … of `workload`, each through the first route of its entry.

        Raises:
            InputError: the program has no such entry.
        """
        window, routes = fitted(program, workload, self.window)
        return StreamState(routes, replace(workload, window=window), workload.arrivals_s())

    def step(self, state: StreamState, event: Event, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
        """Fill the window; stop when the last item is done or a unit is lost."""
        if state.stopped:
            return state, ()
        match event:
            case Lost(unit=unit, why=why):
                return replace(state, stopped=True), (Stop(f"{unit} is gone ({why})"),)
            case Finished(item=item):
                return fill(replace(state, in_flight=state.in_flight - {item}), time_s)
            case _:
                return fill(state, time_s)


def fitted(program: Program, workload: Workload, window: int) -> tuple[int, dict[str, int]]:
    """How many items may be in flight (`window`; 0: the workload's, at most the program's), and each entry's route.

    Raises:
        InputError: the program has no entry that the workload asks for.
    """
    for item in workload.pattern:
        if item.entry not in program.entries:
            raise InputError(
                f"the program has no entry '{item.entry}'", hint=f"known: {', '.join(program.entries)}"
            )
    routes = {entry: program.route_of(entry) for entry in program.entries}
    return min(window or workload.window, program.window), routes


def fill(state: StreamState, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
    """Start what is there and has room; stop when the last item is done."""
    commands: list[Command] = []
    while state.has_room and state.arrivals_s[state.next_item] <= time_s:
        number = state.next_item
        item = state.workload.item(number)
        came = state.arrivals_s[number] if state.workload.arrival != "closed" else time_s
        commands.append(Start(number, state.routes[item.entry], item.session, item.bindings, came))
        state = replace(state, next_item=number + 1, in_flight=state.in_flight | {number})
    if state.next_item == state.workload.items and not state.in_flight:
        return replace(state, stopped=True), (*commands, Stop())
    if state.has_room:
        commands.append(WakeAt(state.arrivals_s[state.next_item]))
    return state, tuple(commands)

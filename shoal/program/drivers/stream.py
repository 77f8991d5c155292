"""Keep a window of items in flight, in order, until the workload is done; replicas share the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace

from shoal.errors import InputError
from shoal.program.driver import Command, Event, Finished, Lost, Start, Stop, WakeAt
from shoal.program.values import Program
from shoal.program.workload import Workload


@dataclass(frozen=True)
class StreamState:
    """Where the stream stands. An item of a session waits until the session's items of other entries are done."""

    routes: tuple[int, ...]  # by item
    workload: Workload
    arrivals_s: tuple[float, ...]  # by item
    next_item: int = 0
    in_flight: int = 0
    busy: Mapping[int, tuple[str, int]] = field(default_factory=dict)  # session → entry and items in flight
    stopped: bool = False
    until: int | None = None  # start no item from this one on, for now; none: all of them

    @property
    def has_room(self) -> bool:
        """Whether the next item may begin as soon as it is there."""
        workload = self.workload
        limit = workload.items if self.until is None else self.until
        if self.next_item >= limit or self.in_flight >= workload.window:
            return False
        coming = workload.item(self.next_item)
        entry, _ = self.busy.get(coming.session, (coming.entry, 0))
        return entry == coming.entry

    def finished(self, number: int) -> StreamState:
        """The state once that item is done."""
        return replace(self, in_flight=self.in_flight - 1, busy=self._busy_with(number, -1))

    def started(self, number: int) -> StreamState:
        """The state once the next item has begun."""
        return replace(self, next_item=number + 1, in_flight=self.in_flight + 1, busy=self._busy_with(number, 1))

    def _busy_with(self, number: int, more: int) -> Mapping[int, tuple[str, int]]:
        item = self.workload.item(number)
        if item.session < 0:
            return self.busy
        _, items = self.busy.get(item.session, (item.entry, 0))
        rest = {session: one for session, one in self.busy.items() if session != item.session}
        return {**rest, item.session: (item.entry, items + more)} if items + more else rest


@dataclass(frozen=True)
class Stream:
    """Start items in order, at most a window of them at once, over the routes of their entry by `Route.share`.

    Items of one session stay with one replica.
    """

    window: int = 0  # items in flight over all routes; 0 = the workload's, at most the program's

    def begin(self, program: Program, workload: Workload) -> StreamState:
        """Items 0, 1, … of `workload`, each with its route.

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
                return fill(state.finished(item), time_s)
            case _:
                return fill(state, time_s)


def fitted(program: Program, workload: Workload, window: int) -> tuple[int, tuple[int, ...]]:
    """How many items may be in flight (`window`; 0: the workload's, at most the program's), and each item's route.

    Raises:
        InputError: the program has no entry that the workload asks for.
    """
    known = set(program.entries)
    for item in workload.pattern:
        if item.entry not in known:
            raise InputError(
                f"the program has no entry '{item.entry}'", hint=f"known: {', '.join(program.entries)}"
            )
    return min(window or workload.window, program.window), routes_of(program, workload)


def fill(state: StreamState, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
    """Start what is there and has room; stop when the last item is done."""
    commands: list[Command] = []
    while state.has_room and state.arrivals_s[state.next_item] <= time_s:
        number = state.next_item
        item = state.workload.item(number)
        came_s = state.arrivals_s[number] if state.workload.arrival != "closed" else time_s
        commands.append(Start(number, state.routes[number], item.session, item.bindings, came_s))
        state = state.started(number)
    if state.next_item == state.workload.items and not state.in_flight:
        return replace(state, stopped=True), (*commands, Stop())
    if state.has_room:
        commands.append(WakeAt(state.arrivals_s[state.next_item]))
    return state, tuple(commands)


def routes_of(program: Program, workload: Workload) -> tuple[int, ...]:
    """The route of each item: each goes where (items so far + 1/2) / share is least, the first of equals.

    That is Sainte-Laguë's rule: after any number of items each replica had close to its share of them, and equal
    shares take turns. An item of a session takes the replica (first, second, … of its entry) that the session's
    first item took, if its entry has as many.
    """
    replicas: dict[str, list[int]] = {}
    for index, route in enumerate(program.routes):
        replicas.setdefault(route.entry, []).append(index)
    turns = {entry: _Turns([program.routes[index].share for index in routes]) for entry, routes in replicas.items()}
    found: list[int] = []
    homes: dict[int, int] = {}  # session → its replica
    for number in range(workload.items):
        item = workload.item(number)
        place = turns[item.entry].take(homes.get(item.session, -1))
        if item.session >= 0:
            homes.setdefault(item.session, place)
        found.append(replicas[item.entry][place])
    return tuple(found)


class _Turns:
    """Whose turn it is among the replicas of one entry."""

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares, self._given = shares, [0] * len(shares)
        self._queue = [(0.5 / share, place) for place, share in enumerate(shares)]
        heapify(self._queue)

    def take(self, home: int) -> int:
        """The replica of the next item; `home` if there is such a one."""
        place = home if 0 <= home < len(self._shares) else self._least()
        self._given[place] += 1
        return place

    def _least(self) -> int:
        while True:
            known, place = self._queue[0]
            now = (self._given[place] + 0.5) / self._shares[place]
            if known == now:
                return place
            heapreplace(self._queue, (now, place))  # it was given items since

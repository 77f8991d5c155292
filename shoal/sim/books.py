"""What a simulation keeps of units, segments, edges, items and messages, and the sums it hands over at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter

from shoal.program import Edge, Epoch, Hop, Program, ReadySet, Segment, Start, Turn, epoch_name, outputs_of
from shoal.record import Span, Totals, UnitReport
from shoal.sim.speeds import Speeds


class Unit:
    """One unit, which serves all epochs: what it runs and what it did."""

    def __init__(self, name: str, speeds: Speeds | None, choose: Callable[[Unit], None]) -> None:
        self.name, self.speeds = name, speeds
        self.posts: list[Post] = []
        self.dead = False
        self.running: Running | None = None
        self.busy_s = 0.0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.choose = partial(choose, self)  # what it does next, made once: most events are this or `Post.pass_on`

    @property
    def report(self) -> UnitReport:
        """What it did."""
        return UnitReport(self.busy_s, self.sent_bytes, self.received_bytes)


class Post:
    """One unit in one epoch, with what is ready there."""

    def __init__(self, unit: Unit, world: World, pass_on: Callable[[Post], None]) -> None:
        self.unit, self.world = unit, world
        self.ready = ReadySet(world.program, unit.name)
        self.pass_on = partial(pass_on, self)
        unit.posts.append(self)

    def clear(self) -> None:
        """Forget all that was there: the unit died."""
        self.ready = ReadySet(self.world.program, self.unit.name)


class Work:
    """A segment of one epoch, and how long it ran in all."""

    def __init__(self, world: World, segment: Segment, seconds: float) -> None:
        self.world, self.segment, self.seconds = world, segment, seconds
        self.name = epoch_name(world.epoch, segment.name)
        names = outputs_of(world.program, segment)
        self.given = dict.fromkeys(names, False)
        self.skipped = dict.fromkeys(names, True)
        self.stopped = {name: name != segment.gate for name in names}
        self.ran_s = 0.0


class Way:
    """An edge of one epoch with its ends, its hops, and the bytes that went in and came out."""

    def __init__(self, world: World, edge: Edge, hops: tuple[Hop, ...]) -> None:
        self.edge, self.hops, self.sizes, self.inside = edge, hops, world.program.sizes, edge.inside
        self.name = epoch_name(world.epoch, edge.name)
        source = world.posts.get(edge.source)
        self.source = source.unit if source else None  # None: the client
        self.target = world.posts.get(edge.target)
        named = any(isinstance(size, str) for size in edge.spec.shape)
        self.fixed_bytes = None if named else edge.spec.bytes({})
        self.sent_bytes = 0
        self.received_bytes = 0


class World:
    """One epoch."""

    def __init__(
        self, given: Epoch, units: dict[str, Unit], make: Callable[[str], Unit], pass_on: Callable[[Post], None]
    ) -> None:
        program, pace = given.program, given.pace
        self.epoch, self.program = program.epoch, program
        self.prepare_s, self.period_s = given.prepare_s, given.period_s
        units |= {name: make(name) for name in program.units if name not in units}
        self.posts = {name: Post(units[name], self, pass_on) for name in program.units}
        self.works = {each.name: Work(self, each, pace.segments_s[each.name]) for each in program.segments}
        self.ways = {edge.name: Way(self, edge, pace.hops.get(edge.name, ())) for edge in program.edges}
        self.messages = [_messages(program, route) for route in range(len(program.routes))]


class Flight:
    """An item from its start until the last of its messages is there."""

    __slots__ = ("abandoned", "awaited", "empty", "messages", "start", "turn", "world")

    def __init__(self, start: Start, world: World, turn: Turn[Flight]) -> None:
        self.start, self.world, self.turn = start, world, turn
        self.abandoned = False
        self.awaited = len(world.program.routes[start.route].outputs)  # answers
        self.messages = world.messages[start.route]  # not there yet: a side branch may come after the answers
        self.empty = False


class Message:
    """What is on its way over an edge."""

    __slots__ = ("empty", "flight", "hop", "load_bytes", "place", "sent_s", "size", "way")

    def __init__(
        self, way: Way, flight: Flight, size: int, load_bytes: float, sent_s: float, place: int, empty: bool
    ) -> None:
        self.way, self.flight, self.size, self.sent_s, self.place = way, flight, size, sent_s, place
        self.load_bytes = load_bytes  # what it weighs on a medium: its size with noise
        self.empty = empty
        self.hop = 0  # the next one


class Running:
    """A segment that runs for an item."""

    __slots__ = ("begun_s", "end_s", "item", "place", "seconds", "work")

    def __init__(self, work: Work, item: int, begun_s: float, end_s: float, seconds: float, place: int) -> None:
        self.work, self.item, self.place = work, item, place
        self.begun_s, self.end_s, self.seconds = begun_s, end_s, seconds


class Spans:
    """The first spans in the order they began, up to a bound; beyond it they are counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[Span | None] = []
        self.dropped = 0

    def open(self) -> int:
        """A place for a span that begins now; -1 if it is not kept."""
        if len(self._kept) >= self._limit:
            self.dropped += 1
            return -1
        self._kept.append(None)
        return len(self._kept) - 1

    def close(self, place: int, span: Span) -> None:
        """Put the span that ended in its place."""
        self._kept[place] = span

    def kept(self) -> tuple[Span, ...]:
        """Those that ended, by start and unit."""
        return tuple(sorted((span for span in self._kept if span), key=attrgetter("start_s", "unit")))


def totals(worlds: Iterable[World], ended_s: float) -> Totals:
    """The sums over a run of these epochs, whose last run or transfer ended at `ended_s`."""
    worlds = tuple(worlds)
    ways = [way for world in worlds for way in world.ways.values()]
    return Totals(
        {work.name: work.ran_s for world in worlds for work in world.works.values()},
        {way.name: way.sent_bytes for way in ways},
        {way.name: lost for way in ways if (lost := way.sent_bytes - way.received_bytes)},
        ended_s,
    )


def _messages(program: Program, route: int) -> int:
    """How many messages an item of the route is sent in."""
    found = program.routes[route]
    sends = [step.name for task in found.tasks for step in task.steps if step.kind == "send"]
    return len(found.inputs) + sum(not program.edge[name].inside for name in sends)

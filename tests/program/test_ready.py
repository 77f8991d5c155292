"""The rule that picks a unit's next step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.program import (
    CLIENT,
    Edge,
    Job,
    Program,
    ReadySet,
    Route,
    Segment,
    Step,
    Task,
    TensorSpec,
    ValueKey,
    outputs_of,
)
from tests import toy
from tests.program.scanning import Scanning
from tests.programs import Piece, chain, program

UNIT = "a/cpu"


def arrive(
    ready: ReadySet, program: Program, edge: str, *items: int, empty: bool = False, session: int = -1
) -> None:
    for item in items:
        ready.arrive(0, item, session, program.edge[edge], empty=empty)


def take(ready: ReadySet, gives: str = "", *, empty: bool = False) -> tuple[str, int]:
    """Do the next step; it gives `gives`."""
    job = ready.pick()
    assert job is not None
    ready.done(job, dict.fromkeys(gives.split(), empty or job.empty))
    return f"{job.step.kind} {job.step.name}", job.item


def test_a_send_goes_first_then_the_oldest_item() -> None:
    made = chain(UNIT, "b/cpu")
    ready = ReadySet(made, UNIT)
    arrive(ready, made, f"x>{UNIT}", 4, 3)
    assert take(ready, "s0") == ("run s0", 3)
    arrive(ready, made, f"x>{UNIT}", 2)
    assert [take(ready, "s0"), take(ready, "s0"), take(ready, "s0")] == [
        ("send s0>b/cpu", 3), ("run s0", 2), ("send s0>b/cpu", 2),
    ]  # fmt: skip
    assert ready.in_flight == (4,)


def test_of_one_item_the_program_s_order_decides() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT)])
    ready = ReadySet(made, UNIT)
    arrive(ready, made, f"x>{UNIT}", 0)
    assert [take(ready, "p")[0], take(ready)[0], take(ready, "q")[0], take(ready)[0]] == [
        "run p", "send p>client", "run q", "send q>client",
    ]  # fmt: skip


def test_picking_again_gives_the_same_step() -> None:
    made = chain(UNIT)
    ready = ReadySet(made, UNIT)
    assert ready.pick() is None
    arrive(ready, made, f"x>{UNIT}", 0)
    assert ready.pick() == ready.pick()


def test_a_segment_waits_for_all_it_reads_and_no_item_passes_another() -> None:
    made = program([Piece("far", "b/cpu"), Piece("join", UNIT, ("x", "far"))])
    ready = ReadySet(made, UNIT)
    arrive(ready, made, f"x>{UNIT}", 0, 1)
    assert ready.pick() is None
    arrive(ready, made, f"far>{UNIT}", 0, 1)
    assert [take(ready, "join") for _ in range(4)] == [
        ("run join", 0), ("send join>client", 0), ("run join", 1), ("send join>client", 1),
    ]  # fmt: skip


def test_what_an_empty_value_reaches_is_empty() -> None:
    made = program([Piece("far", "b/cpu"), Piece("join", UNIT, ("x", "far")), Piece("after", UNIT, ("join",))])
    ready = ReadySet(made, UNIT)
    arrive(ready, made, f"x>{UNIT}", 0)
    arrive(ready, made, f"far>{UNIT}", 0, empty=True)
    for gives in ("join", "after", ""):
        job = ready.pick()
        assert job is not None
        assert job.empty
        assert job.instant
        ready.done(job, dict.fromkeys(gives.split(), True))
    assert ready.in_flight == ()


def test_every_value_is_freed_once_when_its_last_reader_is_done() -> None:
    made = program([Piece("p", UNIT), Piece("q", UNIT, ("x", "p")), Piece("far", "b/cpu", ("p", "q"))])
    ready = ReadySet(made, UNIT)
    arrive(ready, made, f"x>{UNIT}", 0)
    freed: dict[str, list[ValueKey]] = {}
    for gives in ("p", "", "q", ""):
        job = ready.pick()
        assert job is not None
        freed[f"{job.step.kind} {job.step.name}"] = ready.done(job, dict.fromkeys(gives.split(), False))
    assert freed == {
        "run p": [],
        "send p>b/cpu": [],
        "run q": [ValueKey(0, "x"), ValueKey(0, "p")],
        "send q>b/cpu": [ValueKey(0, "q")],
    }


def test_an_output_nobody_reads_is_freed_at_once() -> None:
    made = toy.program()
    ready = ReadySet(made, toy.EYE)
    ready.arrive(0, 0, 0, made.edge["photo"], empty=False)
    job = ready.pick()
    assert job is not None
    assert ready.done(job, {"seen": False, "bright": False}) == [ValueKey(0, "bright"), ValueKey(0, "photo")]


class Acting:
    """The arm of the toy, for its entry "act": one newest and one previous edge."""

    def __init__(self) -> None:
        self.program = toy.program()
        self.route = self.program.route_of("act")
        self.ready = ReadySet(self.program, toy.ARM)

    def command(self, *items: int, session: int = 0) -> None:
        for item in items:
            self.ready.arrive(self.route, item, session, self.program.edge["command"], empty=False)

    def come(self, edge: str, item: int, *, session: int = 0, empty: bool = False) -> ValueKey | None:
        return self.ready.arrive(0, item, session, self.program.edge[edge], empty=empty)

    def move(self) -> tuple[Job, list[ValueKey]]:
        """Run `move` and send what it gave."""
        job = self.ready.pick()
        assert job is not None
        assert job.step == Step("run", "move")
        freed = self.ready.done(job, {"push": False})
        send = self.ready.pick()
        assert send is not None
        assert send.step == Step("send", "push")
        self.ready.done(send, {})
        return job, freed


def test_a_newest_edge_gives_what_came_last_and_never_waits() -> None:
    arm = Acting()
    arm.command(5)
    job, _ = arm.move()
    assert job.newest == (("glimpse", -1),)  # the initial value
    arm.come("felt_before", 5)
    for item in (6, 7):
        assert arm.come("glimpse", item) == ValueKey(0, "glimpse", register=True)  # in place of the one before
    assert arm.come("glimpse", 8, empty=True) is None  # leaves the value that is there
    arm.command(9)
    assert arm.move()[0].newest == (("glimpse", 7),)


def test_a_previous_edge_waits_for_what_the_last_item_gave() -> None:
    arm = Acting()
    arm.command(1, 2)
    job, _ = arm.move()
    assert dict(job.reads)["felt_before"] == ValueKey(-1, "felt_before", register=True)  # the initial value
    assert arm.ready.pick() is None
    arm.come("felt_before", 1)
    job, _ = arm.move()
    assert job.item == 2
    assert dict(job.reads)["felt_before"] == ValueKey(1, "felt_before", register=True)


def test_an_empty_message_on_a_previous_edge_moves_on_and_keeps_the_value() -> None:
    arm = Acting()
    arm.command(1, 2, 3)
    arm.move()
    arm.come("felt_before", 1)
    arm.move()
    arm.come("felt_before", 2, empty=True)
    job, freed = arm.move()
    assert job.item == 3
    assert dict(job.reads)["felt_before"] == ValueKey(1, "felt_before", register=True)
    assert ValueKey(1, "felt_before", register=True) not in freed  # the next item may need it again
    arm.come("felt_before", 3)
    arm.command(4)
    assert arm.move()[1][-1] == ValueKey(1, "felt_before", register=True)


def test_sessions_have_their_own_newest_and_previous_values() -> None:
    arm = Acting()
    arm.come("glimpse", 0, session=1)
    arm.command(1, session=0)
    arm.command(2, session=1)
    assert arm.move()[0].newest == (("glimpse", -1),)
    assert arm.move()[0].newest == (("glimpse", 0),)  # and it did not wait for session 0


def delay(window: int = 4) -> Program:
    """b reads what a gave for the item before: a never waits for b."""
    spec = TensorSpec("float32", (4,))

    def edge(name: str, source: str, target: str, tensor: str, **more: object) -> Edge:
        return Edge(name, source, target, tensor, name, spec, window, **more)  # type: ignore[arg-type]

    def steps(*words: str) -> Iterable[Step]:
        return (Step(*word.split()) for word in words)  # type: ignore[arg-type]

    return Program(
        "delay", ("a/cpu", "b/cpu"),
        (
            edge("x", CLIENT, "a/cpu", "x"), edge("now", "a/cpu", "b/cpu", "v"),
            edge("before", "a/cpu", "b/cpu", "v", takes="previous", initial=0.0), edge("y", "b/cpu", CLIENT, "y"),
        ),
        (Segment("p", "a/cpu", ("x",), ("v",), "null"), Segment("q", "b/cpu", ("now", "before"), ("y",), "null")),
        (Route("main", ("x",), ("y",), (
            Task("a/cpu", tuple(steps("recv x", "run p", "send now", "send before"))),
            Task("b/cpu", tuple(steps("recv now", "recv before", "run q", "send y"))),
        )),),
        window, dict.fromkeys(("x", "v", "now", "before", "y"), spec),
    )  # fmt: skip


@pytest.mark.parametrize("ahead", [1, 3])
def test_the_writer_of_a_previous_edge_may_run_ahead_of_its_reader(ahead: int) -> None:
    made = delay()
    ready = ReadySet(made, "b/cpu")
    for item in range(ahead):
        arrive(ready, made, "before", item)
    arrive(ready, made, "now", *range(4))
    for item in range(ahead, 4):
        arrive(ready, made, "before", item)
    read = []
    for _ in range(4):
        job = ready.pick()
        assert job is not None
        read.append(dict(job.reads)["before"].owner)
        ready.done(job, {"y": False})
        take(ready)
    assert read == [-1, 0, 1, 2]


def test_every_reader_of_a_previous_edge_takes_its_own_turn() -> None:
    """A second reader that comes later still gets what the item before gave, which is kept until then."""
    made = delay()
    more = Segment("r", "b/cpu", ("before", "y"), ("z",), "null")
    route = made.routes[0]
    slow = replace(route.tasks[1], steps=(*route.tasks[1].steps, Step("run", "r")))
    made = replace(
        made,
        segments=(*made.segments, more),
        routes=(replace(route, tasks=(route.tasks[0], slow)),),
        tensors={**made.tensors, "z": made.tensors["y"]},
    )
    ready = ReadySet(made, "b/cpu")
    arrive(ready, made, "now", 0, 1, 2)
    arrive(ready, made, "before", 0, 1, 2)
    read: dict[str, list[int]] = {"q": [], "r": []}
    freed: list[ValueKey] = []
    while (job := ready.pick()) is not None:
        if job.step.kind == "run":
            read[job.step.name].append(dict(job.reads)["before"].owner)
            assert dict(job.reads)["before"] not in freed
        freed += ready.done(job, {{"q": "y", "r": "z"}.get(job.step.name, "sent"): False})
    assert read == {"q": [-1, 0, 1], "r": [-1, 0, 1]}
    assert ValueKey(0, "before", register=True) in freed
    assert ValueKey(2, "before", register=True) not in freed  # item 3 may still come


@pytest.mark.parametrize(("scope", "takes"), [("session", -1), ("stream", None)])
def test_by_its_scope_a_previous_edge_joins_the_items_of_a_session_or_all(scope: str, takes: int | None) -> None:
    made = delay()
    edges = tuple(
        replace(edge, scope=scope) if edge.takes == "previous" else edge  # type: ignore[arg-type]
        for edge in made.edges
    )
    made = replace(made, edges=edges)
    ready = ReadySet(made, "b/cpu")
    arrive(ready, made, "now", 0, session=0)
    assert take(ready, "y") == ("run q", 0)
    arrive(ready, made, "now", 1, session=1)
    take(ready)
    job = ready.pick()
    if takes is None:
        assert job is None  # it waits for what item 0 gives
        arrive(ready, made, "before", 0, session=0)
        job = ready.pick()
        takes = 0
    assert job is not None
    assert dict(job.reads)["before"].owner == takes


@st.composite
def units_at_work(draw: st.DrawFn) -> tuple[Program, str]:
    """A unit of the toy, of the one above, or of a random Program."""
    kind = draw(st.sampled_from(["toy", "delay", "random", "random"]))
    if kind == "toy":
        return toy.program(), draw(st.sampled_from([toy.EYE, toy.ARM]))
    if kind == "delay":
        made, scope = delay(), draw(st.sampled_from(["session", "stream"]))
        edges = [replace(edge, scope=scope) if edge.takes == "previous" else edge for edge in made.edges]
        return replace(made, edges=tuple(edges)), "b/cpu"
    pieces: list[Piece] = []
    for number in range(draw(st.integers(1, 6))):
        known = ["x", *(piece.name for piece in pieces)]
        reads = tuple(draw(st.lists(st.sampled_from(known[-3:]), min_size=1, max_size=3, unique=True)))
        pieces.append(Piece(f"s{number}", draw(st.sampled_from([UNIT, "b/cpu"])), reads))
    made = program(pieces)
    return made, draw(st.sampled_from(made.units))


def messages(data: st.DataObject, made: Program, unit: str) -> list[tuple[int, int, int, Edge]]:
    """What the unit is sent for items 0, 1, …, in any order that is first in, first out on each edge."""
    taken = [
        [
            made.edge[step.name]
            for task in route.tasks
            for step in task.steps
            if task.unit == unit and step.kind == "recv"
        ]
        for route in made.routes
    ]
    waiting: dict[str, list[tuple[int, int, int, Edge]]] = {}
    for item, session in enumerate(data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=6))):
        route = item % len(made.routes)
        edges = [edge for edge in taken[route] if edge.takes == "every"]
        # whichever route wrote it: the rule is asked, not the driver
        edges += [edge for each in taken for edge in each if edge.takes != "every"]
        for edge in edges:
            waiting.setdefault(edge.name, []).append((route, item, session, edge))
    turns = data.draw(st.permutations([name for name, queue in waiting.items() for _ in queue]))
    return [waiting[name].pop(0) for name in turns]


@settings(deadline=None, max_examples=120)
@given(units_at_work(), st.data())
def test_it_is_the_rule_that_scanning_gives(case: tuple[Program, str], data: st.DataObject) -> None:
    made, unit = case
    left = messages(data, made, unit)
    fast, slow = ReadySet(made, unit), Scanning(made, unit)
    while True:
        job, choice = fast.pick(), slow.pick()
        assert (job is None) == (choice is None)
        if job is not None and choice is not None:
            assert (job.item, job.step, job.empty, job.reads, job.newest) == (
                choice.item, choice.step, choice.empty, choice.reads, choice.newest,
            )  # fmt: skip
        if left and (job is None or data.draw(st.booleans())):
            route, item, session, edge = left.pop(0)
            empty = data.draw(st.booleans())
            fast.arrive(route, item, session, edge, empty=empty)
            slow.arrive(route, item, session, edge, empty=empty)
        elif job is not None and choice is not None:
            names = outputs_of(made, made.segment[job.step.name]) if job.step.kind == "run" else ()
            outputs = {name: job.empty or data.draw(st.booleans()) for name in names}
            fast.done(job, outputs)
            slow.done(choice, outputs)
        else:
            break
    assert fast.in_flight == tuple(sorted(slow.items))


@settings(deadline=None, max_examples=60)
@given(units_at_work(), st.data())
def test_every_value_of_an_item_is_freed_once_after_its_last_read(
    case: tuple[Program, str], data: st.DataObject
) -> None:
    made, unit = case
    ready, kept, freed = ReadySet(made, unit), set[ValueKey](), set[ValueKey]()
    for route, item, session, edge in messages(data, made, unit):
        key = ready.arrive(route, item, session, edge, empty=False)
        if key is not None and not key.register:
            kept.add(key)
        while (job := ready.pick()) is not None:
            assert not freed & {key for _, key in job.reads}
            names = outputs_of(made, made.segment[job.step.name]) if job.step.kind == "run" else ()
            kept |= {ValueKey(job.item, name) for name in names}
            behind = [key for key in ready.done(job, dict.fromkeys(names, False)) if not key.register]
            assert not freed & set(behind)
            freed |= set(behind)
    if not ready.in_flight:
        assert freed == kept

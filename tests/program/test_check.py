"""Each refusal of a Program that could block, or lose or invent a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shoal.errors import ProgramError
from shoal.program import CLIENT, Edge, Program, Route, Segment, State, Step, Task, TensorSpec, check
from tests import toy
from tests.program.test_ready import delay
from tests.programs import Piece, chain, program

A, B = "a/cpu", "b/cpu"


def edited(made: Program, part: str, name: str, /, **changes: Any) -> Program:
    """`made` with one edge, segment or state changed."""
    values = tuple(replace(one, **changes) if one.name == name else one for one in getattr(made, part))
    assert values != getattr(made, part)
    return replace(made, **{part: values})


def steps(made: Program, unit: str, edit: Callable[[list[Step]], object], route: int = 0) -> Program:
    """`made` with the steps of one unit changed."""

    def changed(task: Task) -> Task:
        found = list(task.steps)
        edit(found)
        return Task(task.unit, tuple(found))

    tasks = tuple(changed(task) if task.unit == unit else task for task in made.routes[route].tasks)
    routes = list(made.routes)
    routes[route] = replace(routes[route], tasks=tasks)
    return replace(made, routes=tuple(routes))


def route(made: Program, **changes: Any) -> Program:
    return replace(made, routes=(replace(made.routes[0], **changes), *made.routes[1:]))


TWO = chain(A, B)
JOIN = program([Piece("far", B), Piece("join", A, ("x", "far"))])
TOY = toy.program()


def two_ranks_wait_for_each_other() -> Program:
    """p on a reads q's value, q on b reads p's; each unit's own steps look fine."""
    made = program([Piece("p", A), Piece("q", B, ("x", "p"))])
    back = Edge("back", B, A, "q", "q_back", TensorSpec("float32", (4,)), 4)
    made = replace(made, edges=(*made.edges, back), tensors={**made.tensors, "q_back": back.spec})
    made = edited(made, "segments", "p", inputs=("x", "q_back"))
    made = steps(made, A, lambda found: found.insert(0, Step("recv", "back")))
    return steps(made, B, lambda found: found.append(Step("send", "back")))


def told_too_late() -> Program:
    """b makes z of what it read for the item before, a reads that, and only then tells b of the item."""
    spec = TensorSpec("float32", (4,))

    def edge(name: str, source: str, target: str, tensor: str, **more: object) -> Edge:
        return Edge(name, source, target, tensor, name, spec, 4, **more)  # type: ignore[arg-type]

    def task(unit: str, *words: str) -> Task:
        return Task(unit, tuple(Step(*word.split()) for word in words))  # type: ignore[arg-type]

    return Program(
        "late", (A, B),
        (
            edge("x", CLIENT, A, "x"), edge("z", B, A, "z"), edge("v", A, B, "v"),
            edge("before", B, B, "y", takes="previous", initial=0.0), edge("y", B, CLIENT, "y"),
        ),
        (
            Segment("early", B, ("before",), ("z",)), Segment("join", A, ("x", "z"), ("v",)),
            Segment("last", B, ("v",), ("y",)),
        ),
        (Route("main", ("x",), ("y",), (
            task(A, "recv x", "recv z", "run join", "send v"),
            task(B, "recv before", "run early", "send z", "recv v", "run last", "send before", "send y"),
        )),),
        4, dict.fromkeys(("x", "v", "before", "y", "z"), spec),
    )  # fmt: skip


REFUSED = [
    (route(TWO, share=0.0), "share of the items is above zero"),
    (edited(TWO, "edges", f"s0>{B}", buffer_items=3), "edge 's0>b/cpu'.*smaller than the window.*needed 4.*had 3"),
    (edited(TWO, "edges", f"s0>{B}", target="c/cpu"), "edge 's0>b/cpu' names the unknown unit 'c/cpu'"),
    (edited(TWO, "edges", f"s0>{B}", target=A), "leads from 'a/cpu' to itself"),
    (edited(TWO, "edges", f"s0>{B}", initial=1.0), "newest and previous edges have an initial value"),
    (edited(TOY, "edges", "glimpse", initial=None), "newest and previous edges have an initial value.*newest"),
    (edited(TOY, "edges", "label", takes="newest", initial=0.0), "the client takes every answer"),
    (edited(TWO, "edges", f"s0>{B}", spec=TensorSpec("float32", ("2*n",))), "depends on the size 'n'"),
    (edited(TOY, "states", "log", spec=TensorSpec("float32", ("beats", 4))), "'log' depends on the size 'beats'"),
    (replace(TWO, units=(A, B, B)), "unit 'b/cpu' stands 2 times"),
    (replace(TWO, units=(A, B, CLIENT)), "unit 'client' stands 2 times"),
    (replace(TWO, edges=(*TWO.edges, TWO.edges[0])), "edge 'x>a/cpu' stands 2 times"),
    (edited(TWO, "segments", "s1", name="s0"), "segment 's0' stands 2 times"),
    (edited(TOY, "states", "log", name="picture"), "state 'picture' stands 2 times"),
    (edited(TWO, "segments", "s1", unit=A), "b/cpu has a step 'run s1' that is not its own"),
    (edited(TWO, "segments", "s1", inputs=("s0", "s1")), "segment 's1' reads 's1' before it is there"),
    (edited(TWO, "segments", "s1", gate="maybe"), "segment 's1' has no output 'maybe' to be its gate"),
    (edited(TWO, "segments", "s1", outputs=("s1", "more")), "segment 's1': nothing says what 'more' is"),
    (edited(TOY, "states", "log", unit=toy.ARM), "uses the state 'log', which is not on eye/cpu"),
    (edited(TOY, "states", "log", writes="felt_now"), "uses the state 'log' without.*output 'felt_now'"),
    (replace(TOY, states=(*TOY.states, State("log", "x", "item", toy.VECTOR, "a", "b"))), "state 'log' stands 2"),
    (route(TWO, outputs=()), "entry 'main' answers nothing"),
    (route(TWO, outputs=(f"s0>{B}",)), "'s0>b/cpu' is no edge that has the client as its target"),
    (route(TWO, inputs=("y",)), "'y' is no edge that has the client as its source"),
    (route(TWO, tasks=(*TWO.routes[0].tasks, Task("c/cpu", ()))), "a task names the unknown unit 'c/cpu'"),
    (route(TWO, tasks=(*TWO.routes[0].tasks, TWO.routes[0].tasks[0])), "unit 'a/cpu' has 2 tasks"),
    (route(TWO, inputs=()), "edge 'x>a/cpu' is sent 0 and received 1 times"),
    (route(TWO, tasks=(TWO.routes[0].tasks[0],)), "sent 1 and received 0|sent 0 and received 1"),
    (steps(TWO, A, lambda found: found.pop()), "edge 's0>b/cpu' is sent 0 and received 1 times"),
    (steps(TWO, A, lambda found: found.append(found[-1])), "the step 'send s0>b/cpu' stands 2 times"),
    (steps(TWO, A, lambda found: found.reverse()), "'s0' is sent before it is there"),
    (steps(TWO, B, lambda found: found.append(Step("send", f"s0>{B}"))), "'send s0>b/cpu' that is not its own"),
    (steps(TWO, A, lambda found: found.append(Step("recv", f"s0>{B}"))), "'recv s0>b/cpu' that is not its own"),
    (steps(TWO, A, lambda found: found.append(Step("move", "kv"))), "no worker can 'move' yet"),
    (edited(JOIN, "edges", f"far>{A}", delivers="x"), "the value 'x' is given twice"),
    (edited(JOIN, "segments", "join", inputs=("x",)), "'far' is received and nobody reads it"),
    (edited(delay(), "edges", "now", takes="newest", initial=0.0), "no message tells that an item is there"),
    (steps(TOY, toy.EYE, lambda found: found.pop(), 0), "'glimpse' is sent 0 and received 1 times by all"),
    (replace(TWO, edges=(*TWO.edges, replace(TWO.edges[0], name="idle"))), "edge 'idle' is sent 0 and received 0"),
    (two_ranks_wait_for_each_other(), "no order solves the dependency .*q on b/cpu"),
    (told_too_late(), "b/cpu: is to do 'early' for an item before any message tells that the item is there"),
    (edited(delay(), "edges", "before", scope="item"), "edge 'before'.*its scope cannot be the item"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_it_refuses(made: Program, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        check(made)


def read_twice() -> Program:
    made = delay()
    more = replace(made.segment["q"], name="r", outputs=("z",))
    made = replace(made, segments=(*made.segments, more), tensors={**made.tensors, "z": made.tensors["y"]})
    return steps(made, B, lambda found: found.insert(3, Step("run", "r")))


def test_only_a_previous_edge_may_have_several_readers() -> None:
    check(read_twice())
    with pytest.raises(ProgramError, match="'before' of a newest edge is read by 2 steps"):
        check(edited(read_twice(), "edges", "before", takes="newest"))


@pytest.mark.parametrize("made", [TWO, JOIN, TOY, delay(), chain(A, B, A)], ids=lambda made: made.name)
def test_it_lets_pass(made: Program) -> None:
    check(made)


def test_a_route_of_its_own_for_every_entry() -> None:
    assert TOY.entries == ("sense", "act")
    assert isinstance(TOY.routes[TOY.route_of("act")], Route)

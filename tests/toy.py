"""The smallest Program that uses every part of the waist, and what it means in plain Python.

An eye sees, an arm acts; both are units of their own. Two entries:

sense  photo → [eye: look] → seen → [arm: name] → label
       `look` keeps a fading picture, a state of its session, and its gate stops dark photos.
act    command → [arm: move] → push → [eye: feel] → felt
       `move` takes the newest thing seen and what was felt at the session's previous act;
       `feel` appends every push to a log, another state of its session, that grows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shoal.program import (
    CLIENT,
    Edge,
    Hop,
    Item,
    Pace,
    Program,
    Route,
    Segment,
    State,
    Step,
    Task,
    TensorSpec,
    Workload,
)
from shoal.record import Fact

EYE, ARM = "eye/cpu", "arm/cpu"
WIDTH, STEPS = 4, 64
FADE, WEIGHT = 0.5, 0.25  # exact in binary
INITIAL_GLIMPSE, INITIAL_FELT = 3.0, -1.0

Array = NDArray[np.float32]
VECTOR = TensorSpec("float32", (WIDTH,))
LOG = TensorSpec("float32", ("steps", WIDTH))


def _steps(*words: str) -> tuple[Step, ...]:
    return tuple(Step(*word.split(" ")) for word in words)  # type: ignore[arg-type]  # "recv photo"


def program(engine: str = "reference", window: int = 4) -> Program:
    def edge(
        name: str, source: str, target: str, tensor: str, takes: str = "every", initial: float | None = None
    ) -> Edge:
        return Edge(
            name, source, target, tensor, tensor if takes == "every" else name, VECTOR, window, takes, initial
        )  # type: ignore[arg-type]

    def segment(
        name: str, unit: str, inputs: str, outputs: str, *, states: str = "", gate: str | None = None
    ) -> Segment:
        return Segment(
            name, unit, tuple(inputs.split()), tuple(outputs.split()), engine,
            files=(f"{name}.onnx",), states=tuple(states.split()), gate=gate,
        )  # fmt: skip

    return Program(
        name="toy",
        units=(EYE, ARM),
        edges=(
            edge("photo", CLIENT, EYE, "photo"),
            edge("seen", EYE, ARM, "seen"),
            edge("glimpse", EYE, ARM, "seen", "newest", INITIAL_GLIMPSE),
            edge("label", ARM, CLIENT, "label"),
            edge("command", CLIENT, ARM, "command"),
            edge("push", ARM, EYE, "push"),
            edge("felt_before", EYE, ARM, "felt", "previous", INITIAL_FELT),
            edge("felt", EYE, CLIENT, "felt"),
        ),
        segments=(
            segment("look", EYE, "photo picture", "seen picture_now bright", states="picture", gate="bright"),
            segment("name", ARM, "seen", "label"),
            segment("move", ARM, "command glimpse felt_before", "push"),
            segment("feel", EYE, "push log", "felt entry", states="log"),
        ),
        routes=(
            Route("sense", ("photo",), ("label",), (
                Task(EYE, _steps("recv photo", "run look", "send seen", "send glimpse")),
                Task(ARM, _steps("recv seen", "run name", "send label")),
            )),
            Route("act", ("command",), ("felt",), (
                Task(ARM, _steps("recv command", "recv glimpse", "recv felt_before", "run move", "send push")),
                Task(EYE, _steps("recv push", "run feel", "send felt", "send felt_before")),
            )),
        ),
        window=window,
        tensors={
            **dict.fromkeys(
                ("photo", "picture", "picture_now", "seen", "label",
                 "command", "glimpse", "felt_before", "push", "felt"), VECTOR,
            ),
            "bright": TensorSpec("bool", (1,)), "log": LOG, "entry": TensorSpec("float32", (1, WIDTH)),
        },
        states=(
            State("picture", EYE, "session", VECTOR, "picture", "picture_now"),
            State("log", EYE, "session", LOG, "log", "entry", "append"),
        ),
        sizes={"steps": STEPS},
    )  # fmt: skip


LATENCY_S = 0.006  # of every link, so that what comes within it of its due moment is still in time


def _link(name: str, bytes_per_s: float) -> tuple[Hop, ...]:
    return (Hop(name, bytes_per_s, LATENCY_S),)


PACE = Pace(
    segments_s={"look": 0.026, "name": 0.014, "move": 0.022, "feel": 0.018},
    hops={
        **{name: _link("up", 16_000) for name in ("photo", "command")},
        **{name: _link("eye>arm", 8_000) for name in ("seen", "glimpse", "felt_before")},
        "push": _link("arm>eye", 8_000),
        "label": _link("arm>client", 32_000),
        "felt": _link("eye>client", 32_000),
    },
)  # a vector takes 1 ms from the client, 2 ms between the units, 0.5 ms back


def write(folder: Path) -> None:
    """The segments as ONNX files."""
    folder.mkdir(parents=True, exist_ok=True)
    node = helper.make_node
    _save(folder, "look", "photo picture", "seen picture_now bright", [
        node("Mul", ["picture", "fade"], ["faded"]),
        node("Add", ["photo", "faded"], ["picture_now"]),
        node("Identity", ["picture_now"], ["seen"]),
        node("ReduceSum", ["photo"], ["light"], keepdims=0),
        node("Reshape", ["light", "one"], ["light_1"]),
        node("Greater", ["light_1", "zero"], ["bright"]),
    ])  # fmt: skip
    _save(folder, "name", "seen", "label", [node("Add", ["seen", "seen"], ["label"])])
    _save(folder, "move", "command glimpse felt_before", "push", [
        node("Mul", ["felt_before", "weight"], ["weighed"]),
        node("Sum", ["command", "glimpse", "weighed"], ["push"]),
    ])  # fmt: skip
    _save(folder, "feel", "push log", "felt entry", [
        node("ReduceSum", ["log", "axis"], ["total"], keepdims=0),
        node("Add", ["push", "total"], ["felt"]),
        node("Reshape", ["push", "row"], ["entry"]),
    ])  # fmt: skip


CONSTANTS = {
    "fade": np.array(FADE, np.float32), "weight": np.array(WEIGHT, np.float32), "zero": np.zeros(1, np.float32),
    "one": np.array([1]), "axis": np.array([0]), "row": np.array([1, WIDTH]),
}  # fmt: skip
SHAPES = {"bright": [1], "log": ["steps", WIDTH], "entry": [1, WIDTH]}


def _save(folder: Path, name: str, inputs: str, outputs: str, nodes: list[onnx.NodeProto]) -> None:
    def value(name: str) -> onnx.ValueInfoProto:
        kind = TensorProto.BOOL if name == "bright" else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, SHAPES.get(name, [WIDTH]))

    used = {given for node in nodes for given in node.input} & set(CONSTANTS)
    graph = helper.make_graph(
        nodes, name, [value(one) for one in inputs.split()], [value(one) for one in outputs.split()],
        [numpy_helper.from_array(CONSTANTS[one], one) for one in sorted(used)],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / f"{name}.onnx"
    )


def inputs(workload: Workload, seed: int = 7) -> Callable[[int], Mapping[str, Array]]:
    """A photo or a command for every item; about a third of the photos are dark."""
    rng = np.random.default_rng(seed)
    arrays = rng.normal(0.2, 0.5, (workload.items, WIDTH)).astype(np.float32)
    word = {"sense": "photo", "act": "command"}
    return lambda item: {word[workload.item(item).entry]: arrays[item]}


def meaning(
    workload: Workload, given: Callable[[int], Mapping[str, Array]], facts: tuple[Fact, ...]
) -> dict[int, dict[str, Array]]:
    """The outputs of every item, none if its photo is dark.

    Which glimpse an act took depends on when it came, so `facts` tell it: the rest follows from the inputs.
    """
    taken = {fact.item: int(fact.value) for fact in facts if fact.kind == "newest"}
    pictures: dict[int, Array] = defaultdict(lambda: np.zeros(WIDTH, np.float32))
    totals: dict[int, Array] = defaultdict(lambda: np.zeros(WIDTH, np.float32))
    felt: dict[int, Array] = defaultdict(lambda: np.full(WIDTH, INITIAL_FELT, np.float32))
    seen: dict[int, Array] = {-1: np.full(WIDTH, INITIAL_GLIMPSE, np.float32)}
    outputs: dict[int, dict[str, Array]] = {}
    for item in (item for item in range(workload.items) if workload.item(item).entry == "sense"):
        session, photo = workload.item(item).session, given(item)["photo"]
        pictures[session] = photo + FADE * pictures[session]
        bright = photo.sum() > 0
        if bright:
            seen[item] = pictures[session]
        outputs[item] = {"label": 2 * seen[item]} if bright else {}
    for item in (item for item in range(workload.items) if workload.item(item).entry == "act"):
        session = workload.item(item).session
        push = given(item)["command"] + seen[taken[item]] + WEIGHT * felt[session]
        felt[session], totals[session] = push + totals[session], totals[session] + push
        outputs[item] = {"felt": felt[session]}
    return outputs


def turns(items: int = 20) -> Workload:
    """Two sessions; acts wait for what their session sees, and the other way round."""
    pattern = [Item(entry, session) for entry, session in (
        ("sense", 0), ("sense", 0), ("sense", 1), ("act", 1), ("act", 1), ("act", 0), ("sense", 1),
    )]  # fmt: skip
    return Workload(items, pattern=tuple(pattern))


def races(items: int = 20) -> Workload:
    """No sessions: acts and photos overtake each other, and an act takes whatever came last."""
    return Workload(items, pattern=tuple(Item(entry) for entry in ("sense", "act", "act", "sense", "sense")))

"""Small networks with state between their items, and what they mean in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from shoal.graph import Carried, Graph, load
from tests.graph.models import floats, info, model, node, write

WIDTH, ROWS = 6, 3
Array = NDArray[np.float32]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Net:
    """A model, what it carries, and one step of it: inputs and carried inputs → outputs and carried outputs."""

    name: str
    proto: onnx.ModelProto
    carry: Mapping[str, str]
    step: Callable[[Arrays], dict[str, Array]]
    initial: float = 0.0

    def load(self, folder: Path, scope: str = "session") -> Graph:
        carried = [Carried(given, made, self.initial, scope) for given, made in self.carry.items()]  # type: ignore[arg-type]
        return load(write(self.proto, folder, f"{self.name}.onnx"), carry=carried)

    def meaning(self, inputs: Callable[[int], Arrays], sessions: Sequence[int]) -> list[dict[str, Array]]:
        """The answers of items 0, 1, … of these sessions."""
        kept: dict[tuple[int, str], Array] = {}
        found = []
        for item, session in enumerate(sessions):
            states = {name: kept.get((session, name), self._fresh(name)) for name in self.carry}
            outputs = self.step({**inputs(item), **states})
            kept |= {(session, name): outputs[made] for name, made in self.carry.items()}
            found.append({name: value for name, value in outputs.items() if name not in self.carry.values()})
        return found

    def _fresh(self, name: str) -> Array:
        (value,) = (value for value in self.proto.graph.input if value.name == name)
        return np.full([dim.dim_value for dim in value.type.tensor_type.shape.dim], self.initial, np.float32)


W = {name: floats(WIDTH, WIDTH, seed=seed) / 3 for seed, name in enumerate(("A", "U", "V", "B", "T"))}
ROW = [1, WIDTH]


_CONSTANTS = {"one": np.array([1]), "end": np.array([ROWS]), "zero": np.array([0])}


def _made(
    nodes: Sequence[onnx.NodeProto],
    given: str,
    made: str,
    weights: str,
    shapes: Mapping[str, list[int]] | None = None,
) -> onnx.ModelProto:
    values = [info(name, (shapes or {}).get(name, ROW)) for name in given.split()]
    held = {name: {**W, **_CONSTANTS}[name] for name in weights.split()}
    return model(nodes, values, made.split(), held)


def single() -> Net:
    """a = tanh(xA), h' = tanh(a + hU), y = relu(h'V)."""

    def step(given: Arrays) -> dict[str, Array]:
        made = np.tanh(np.tanh(given["x"] @ W["A"]) + given["h"] @ W["U"])
        return {"y": np.maximum(made @ W["V"], 0), "h2": made}

    nodes = [
        node("MatMul", "x A", "xa"), node("Tanh", "xa", "a"), node("MatMul", "h U", "hu"), node("Add", "a hu", "s"),
        node("Tanh", "s", "h2"), node("MatMul", "h2 V", "hv"), node("Relu", "hv", "y"),
    ]  # fmt: skip
    return Net("single", _made(nodes, "x h", "y h2", "A U V"), {"h": "h2"}, step, initial=0.5)


def double() -> Net:
    """Two recurrent layers in a row; the products with both states stand first, as some exporters write them."""

    def step(given: Arrays) -> dict[str, Array]:
        one = np.tanh(given["x"] @ W["A"] + given["h"] @ W["U"])
        two = np.tanh(one @ W["B"] + given["g"] @ W["T"])
        return {"y": two @ W["V"], "h2": one, "g2": two}

    nodes = [
        node("MatMul", "h U", "hu"), node("MatMul", "g T", "gt"),
        node("MatMul", "x A", "xa"), node("Add", "xa hu", "s"), node("Tanh", "s", "h2"),
        node("MatMul", "h2 B", "hb"), node("Add", "hb gt", "r"), node("Tanh", "r", "g2"), node("MatMul", "g2 V", "y"),
    ]  # fmt: skip
    return Net("double", _made(nodes, "x h g", "y h2 g2", "A U V B T"), {"h": "h2", "g": "g2"}, step)


def coupled() -> Net:
    """Two states that feed each other: h' = tanh(x + gT), g' = tanh(hU); one loop that takes two items."""

    def step(given: Arrays) -> dict[str, Array]:
        one, two = np.tanh(given["x"] + given["g"] @ W["T"]), np.tanh(given["h"] @ W["U"])
        return {"y": one + two, "h2": one, "g2": two}

    nodes = [
        node("MatMul", "g T", "gt"), node("Add", "x gt", "s"), node("Tanh", "s", "h2"),
        node("MatMul", "h U", "hu"), node("Tanh", "hu", "g2"), node("Add", "h2 g2", "y"),
    ]  # fmt: skip
    return Net("coupled", _made(nodes, "x h g", "y h2 g2", "U T"), {"h": "h2", "g": "g2"}, step)


def tapped() -> Net:
    """The old state is read again behind the loop: y = relu(h'V) + h, z = hT."""

    def step(given: Arrays) -> dict[str, Array]:
        made = np.tanh(given["x"] @ W["A"] + given["h"] @ W["U"])
        return {"y": np.maximum(made @ W["V"], 0) + given["h"], "z": given["h"] @ W["T"], "h2": made}

    nodes = [
        node("MatMul", "x A", "xa"), node("MatMul", "h U", "hu"), node("Add", "xa hu", "s"), node("Tanh", "s", "h2"),
        node("MatMul", "h2 V", "hv"), node("Relu", "hv", "r"), node("Add", "r h", "y"), node("MatMul", "h T", "z"),
    ]  # fmt: skip
    return Net("tapped", _made(nodes, "x h", "y z h2", "A U V T"), {"h": "h2"}, step)


def window() -> Net:
    """A cache of the last rows, as attention keeps one: c' = [c without its first row; xA], y = relu(mean of c')."""

    def step(given: Arrays) -> dict[str, Array]:
        made = np.concatenate([given["c"][1:], given["x"] @ W["A"]])
        return {"y": np.maximum(made.mean(axis=0, keepdims=True), 0), "c2": made}

    nodes = [
        node("MatMul", "x A", "xa"), node("Slice", "c one end zero", "rest"), node("Concat", "rest xa", "c2", axis=0),
        node("ReduceMean", "c2", "m", axes=[0]), node("Relu", "m", "y"),
    ]  # fmt: skip
    return Net("window", _made(nodes, "x c", "y c2", "A one end zero", {"c": [ROWS, WIDTH]}), {"c": "c2"}, step)


NETS = {each.name: each for each in (single(), double(), coupled(), tapped(), window())}


def inputs(seed: int = 3) -> Callable[[int], dict[str, Array]]:
    """A row for every item."""
    rows = floats(64, 1, WIDTH, seed=seed)
    return lambda item: {"x": rows[item % len(rows)]}

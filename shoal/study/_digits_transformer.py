"""A small vision transformer for handwritten digits: each patch of four pixels is a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shoal.study._digits import F32, Digits, Node, Weight, noisy, trained
from shoal.train.library import torch_threads

PATCH, PATCHES = 2, 16


def transformer(
    path: Path,
    data: Digits,
    epochs: int,
    items: int,
    blocks: int = 4,
    width: int = 32,
    heads: int = 2,
    seed: int = 0,
) -> Path:
    """A trained transformer written to `path`, for so many images at once; its nodes have the names of MiniLM's.

    Normalised before attention and before the two dense layers (Dosovitskiy et al., An Image is Worth 16x16 Words,
    2020), with the mean of all tokens instead of one of its own.

    Raises:
        MissingExtra: torch is not installed.
    """
    net = _Net(np.random.default_rng(seed), width, heads)
    net.weights |= {"heads": np.array([0, PATCHES, heads, -1]), "channels": np.array([0, width, PATCHES]),
                    "tokens": np.array([0, PATCHES, width])}  # fmt: skip
    value = net.patches()
    for block in range(blocks):
        value = net.attention(f"layer{block}", value)
        value = net.dense(f"layer{block}", value)
    net.classes(value)
    with torch_threads(1):  # sums in one order on every machine
        return trained(path, net.nodes, net.weights, data, epochs, seed, noisy, items)


@dataclass
class _Net:
    """Nodes and weights so far."""

    source: np.random.Generator
    width: int
    heads: int
    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)

    def patches(self) -> str:
        """Tokens, (images, patches, width), with what tells their places."""
        self.weights |= {"patches.w": self._drawn((self.width, 1, PATCH, PATCH), PATCH**2),
                         "places": self._drawn((PATCHES, self.width), self.width)}  # fmt: skip
        cut = self._node("Conv", "patches", ["x", "patches.w"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
        rows = self._node("Reshape", "patches.rows", [cut, "channels"])
        turned = self._node("Transpose", "patches.turned", [rows], perm=[0, 2, 1])
        return self._node("Add", "embedded", [turned, "places"])

    def attention(self, name: str, value: str) -> str:
        """Every token takes of all others; the scale of scores is learned with the queries."""
        normed = self._norm(f"{name}.first", value)
        turns = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        parts = {}
        for part, order in turns.items():
            apart = self._node("Reshape", f"{name}.{part}.heads", [self._linear(f"{name}.{part}", normed), "heads"])
            parts[part] = self._node("Transpose", f"{name}.{part}.turned", [apart], perm=order)
        self.weights[f"{name}.query.w"] /= np.sqrt(np.float32(self.width / self.heads))
        scores = self._node("MatMul", f"{name}.scores", [parts["query"], parts["key"]])
        shares = self._node("Softmax", f"{name}.shares", [scores], axis=-1)
        taken = self._node("MatMul", f"{name}.taken", [shares, parts["value"]])
        back = self._node("Transpose", f"{name}.back", [taken], perm=[0, 2, 1, 3])
        context = self._node("Reshape", f"{name}.context", [back, "tokens"])
        return self._node("Add", f"{name}.attended", [value, self._linear(f"{name}.mix", context)])

    def dense(self, name: str, value: str) -> str:
        """Each token through twice the width."""
        normed = self._norm(f"{name}.second", value)
        wide = self._node("Relu", f"{name}.bent", [self._linear(f"{name}.wide", normed, 2)])
        return self._node("Add", f"{name}.total", [value, self._linear(f"{name}.narrow", wide, 1, 2)])

    def classes(self, value: str) -> None:
        """Logits of the mean token."""
        self.weights |= {"classes.w": self._drawn((10, self.width), self.width), "classes.b": np.zeros(10, np.float32),
                         "axis": np.array([1])}  # fmt: skip
        mean = self._node("ReduceMean", "mean", [self._norm("last", value), "axis"], keepdims=0)
        self._node("Gemm", "y", [mean, "classes.w", "classes.b"], transB=1)

    def _linear(self, name: str, value: str, wider: int = 1, widest: int = 1) -> str:
        """A dense layer from `widest` times the width to `wider` times it."""
        inner, columns = widest * self.width, wider * self.width
        self.weights |= {
            f"{name}.w": self._drawn((inner, columns), inner),
            f"{name}.b": np.zeros(columns, np.float32),
        }
        return self._node("Add", name, [self._node("MatMul", f"{name}.product", [value, f"{name}.w"]), f"{name}.b"])

    def _norm(self, name: str, value: str) -> str:
        self.weights |= {
            f"{name}.w": np.ones(self.width, np.float32),
            f"{name}.b": np.zeros(self.width, np.float32),
        }
        return self._node("LayerNormalization", f"{name}.norm", [value, f"{name}.w", f"{name}.b"], axis=-1)

    def _drawn(self, shape: tuple[int, ...], inner: int) -> F32:
        drawn: F32 = (self.source.standard_normal(shape) / np.sqrt(inner)).astype(np.float32)
        return drawn

    def _node(self, operator: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; its output has its name."""
        self.nodes.append((operator, inputs, name, attributes))
        return name

"""What goes between the loop and a drafter in another process: plain arrays over a transport of `shoal.wire`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WorkerDied
from shoal.llm.drafting.drafters.contract import Ask
from shoal.llm.drafting.tree import Budget, Tree
from shoal.program import CLIENT, Edge, Flag, Header, Program, Route, TensorSpec
from shoal.program.message import NOTHING
from shoal.wire import Delivery, Endpoint

UNIT = "drafter/cpu"
ASKED, TOKENS, FEATURES, NODES, Q = range(5)  # edges
FIGURES = 6  # of what is asked: whether a text begins, its seed, depth, top_k and tokens of the tree, temperature
Array = NDArray[Any]


@dataclass(frozen=True)
class Sizes:
    """What both sides must agree on; it decides which messages are let through."""

    vocabulary: int  # of the drafter; 0: it draws nothing
    width: int  # of the features that it reads; 0: none
    context: int  # most tokens of a text
    nodes: int  # most tokens of a tree

    def program(self) -> Program:
        """The edges that messages travel on."""
        there, back = (CLIENT, UNIT), (UNIT, CLIENT)
        edges = (
            _edge("asked", *there, "float64", (FIGURES,)),
            _edge("tokens", *there, "int32", ("context",)),
            _edge("features", *there, "float16", ("context", "width")),
            _edge("nodes", *back, "int32", (2, "nodes")),
            _edge("q", *back, "float32", ("nodes", "vocabulary")),
        )
        sizes = {"context": self.context, "nodes": self.nodes, "width": max(1, self.width),
                 "vocabulary": max(1, self.vocabulary)}  # fmt: skip
        return Program("drafting", (UNIT,), edges, (), (Route("main", (), (), ()),), 1, {}, sizes=sizes)

    def bytes(self, tokens: int, offered: int, *, begins: bool = False, drawn: bool = False) -> int:
        """Of one round: so many new tokens, each with its feature (less one where a text begins), and a tree."""
        there = 8 * FIGURES + 4 * tokens + 2 * self.width * (tokens - begins)
        return there + (8 + 4 * self.vocabulary * drawn) * offered


class Line:
    """One side's end of the connection, and how many rounds it has seen."""

    def __init__(self, end: Endpoint) -> None:
        self._end, self._item = end, 0

    @property
    def bytes(self) -> int:
        """Of arrays, both ways, so far."""
        return self._end.sent_bytes + self._end.received_bytes

    def ask(self, ask: Ask, seed: int | None, patience_s: float) -> Tree:
        """A tree; `seed` begins a new text.

        Raises:
            WorkerDied: the drafter is gone, or says nothing for `patience_s`.
        """
        budget = ask.budget
        figures = [seed is not None, seed or 0, budget.depth, budget.top_k, budget.tokens, ask.temperature]
        self._send(ASKED, np.array(figures, np.float64))
        self._send(TOKENS, ask.tokens)
        self._send(FEATURES, ask.features)
        nodes, q = self._heard(patience_s), self._heard(patience_s)
        self._item += 1
        if nodes is None:
            nodes = np.zeros((2, 0), np.int32)
        return Tree(nodes[0], nodes[1], q)

    def asked(self) -> tuple[Ask, int | None]:
        """The next question, and the seed if a text begins.

        Raises:
            WorkerDied: nobody asks any more.
        """
        figures, tokens, features = (self._heard(None) for _ in (ASKED, TOKENS, FEATURES))
        assert figures is not None
        begins, seed, *budget = map(int, figures[:-1])
        none = np.zeros((0, 0), np.float16)
        ask = Ask(np.zeros(0, np.int32) if tokens is None else tokens, none if features is None else features,
                  Budget(*budget), float(figures[-1]))  # fmt: skip
        return ask, seed if begins else None

    def answer(self, tree: Tree) -> None:
        """Send a tree back."""
        self._send(NODES, np.stack([tree.tokens, tree.parents]))
        self._send(Q, tree.q)
        self._item += 1

    def close(self) -> None:
        """End the connection."""
        self._end.close()

    def _send(self, edge: int, array: Array | None) -> None:
        if array is None or not array.size:
            self._end.send(Header(edge, self._item, flags=Flag.EMPTY), None)
            return
        array = np.ascontiguousarray(array)
        self._end.send(Header(edge, self._item, flags=NOTHING, dtype=array.dtype.name, shape=array.shape,
                              payload_bytes=array.nbytes), array)  # fmt: skip

    def _heard(self, patience_s: float | None) -> Array | None:
        found = self._end.receive(patience_s)
        if not isinstance(found, Delivery):
            why = "it said nothing for too long" if found is None else found.why
            raise WorkerDied(f"the other side is gone: {why}", where=UNIT)
        if found.array is None:
            return None
        array = found.array.copy()
        self._end.release(found)
        return array


def _edge(name: str, source: str, target: str, dtype: str, shape: tuple[int | str, ...]) -> Edge:
    return Edge(name, source, target, name, name, TensorSpec(dtype, shape), 1)

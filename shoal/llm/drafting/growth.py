"""How a drafter that foresees distributions makes a tree of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.llm.drafting.sampling import Draw, softmax
from shoal.llm.drafting.tree import ROOT, Budget, Tree


@dataclass(eq=False)
class Nodes:
    """A tree that grows."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)  # logarithm of the probability of the way to it

    def add(self, token: int, parent: int, share: float) -> int:
        """The new one's place; `share` is the logarithm of its own probability."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.scores.append(share + (self.scores[parent] if parent != ROOT else 0.0))
        return len(self.tokens) - 1


Expand = Callable[[Nodes, list[int]], NDArray[Any]]  # logits (m, vocabulary) after each of these nodes


def grown(first: NDArray[Any], expand: Expand, budget: Budget) -> Tree:
    """The likeliest tokens: each level's best are followed, and of all levels the best are kept.

    As in EAGLE-2 (Li et al., arXiv 2406.16858). A token is never likelier than its parent, so what is kept is a tree.

    Args:
        first: (vocabulary,) logits after the text.
        expand: of the drafter.
        budget: at least one token.
    """
    nodes = Nodes()
    level = _likeliest(nodes, ROOT, first, budget.top_k)
    for _ in range(1, budget.depth):
        followed = sorted(level, key=lambda node: -nodes.scores[node])[: budget.top_k]
        found = expand(nodes, followed)
        level = [
            child for node, logits in zip(followed, found, strict=True)
            for child in _likeliest(nodes, node, logits, budget.top_k)
        ]  # fmt: skip
    return _best(nodes, budget.tokens)


def drawn(first: NDArray[Any], expand: Expand, budget: Budget, temperature: float, draw: Draw) -> Tree:
    """Tokens drawn by their probabilities: `top_k` siblings a level, of which the first is followed.

    Which are followed must not depend on what was drawn, or the accept rule's q would not be what drew them.
    """
    nodes, at, logits = Nodes(), ROOT, first
    q: list[NDArray[np.float32]] = []
    for level in range(1, budget.depth + 1):
        shares = np.asarray(softmax(logits / temperature), np.float32)
        siblings = _drawn(nodes, at, shares, min(budget.top_k, budget.tokens - len(q)), draw)
        q += [shares] * len(siblings)
        at = siblings[0]
        if level == budget.depth or len(q) >= budget.tokens:
            break
        logits = expand(nodes, [at])[0]
    return Tree.of(nodes.tokens, nodes.parents, np.stack(q))


def _drawn(nodes: Nodes, parent: int, shares: NDArray[np.float32], count: int, draw: Draw) -> list[int]:
    left = np.array(shares, np.float64)
    found = []
    for _ in range(min(count, int(np.count_nonzero(left)))):
        token = draw(left)
        left[token] = 0
        found.append(nodes.add(token, parent, 0.0))
    return found


def _likeliest(nodes: Nodes, parent: int, logits: NDArray[Any], count: int) -> list[int]:
    whole = np.logaddexp.reduce(logits)
    tokens = np.argsort(-logits, kind="stable")[:count] if count > 1 else [int(np.argmax(logits))]
    return [nodes.add(int(token), parent, float(logits[token] - whole)) for token in tokens]


def _best(nodes: Nodes, count: int) -> Tree:
    order = sorted(range(len(nodes.tokens)), key=lambda node: -nodes.scores[node])[:count]
    kept = {node: place for place, node in enumerate(sorted(order))}
    parents = [kept.get(nodes.parents[node], ROOT) for node in kept]
    return Tree.of([nodes.tokens[node] for node in kept], parents)

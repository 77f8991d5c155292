"""Which of a tree's tokens the target takes over: the text is then the target's own, in law if drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.llm.drafting.sampling import F64, Draw
from shoal.llm.drafting.tree import ROOT, Tree


@dataclass(frozen=True)
class Accepted:
    """A way through the tree, and the target's own token after it."""

    path: tuple[int, ...]  # places of tokens in the tree
    token: int


def accept_greedy(tree: Tree, logits: NDArray[Any]) -> Accepted:
    """Follow the target's choices as far as the tree has them.

    Args:
        tree: proposed.
        logits: (1 + n, vocabulary) of the target: after the text, then after each token of the tree.
    """
    choices = np.argmax(logits, axis=-1).tolist()  # of equal ones the lowest
    path: list[int] = []
    at = ROOT
    while (found := _child(tree, at, choices[at + 1])) is not None:
        path.append(found)
        at = found
    return Accepted(tuple(path), choices[at + 1])


def accept_drawn(tree: Tree, p: F64, draw: Draw) -> Accepted:
    """Accept a token with min(1, p/q); after a refusal go on with what p has above q.

    The tokens come out distributed as `p` says, whatever the drafter proposed, as long as `q` is what drew them.
    A token that was chosen counts as drawn from a `q` that is all its own. [Leviathan et al., arXiv 2211.17192;
    siblings one after another: Miao et al., "SpecInfer", arXiv 2305.09781]

    Args:
        tree: proposed.
        p: (1 + n, vocabulary) of the target, as in `accept_greedy`.
        draw: decides.
    """
    path: list[int] = []
    left = np.array(p[0], np.float64)
    while True:
        at = path[-1] if path else ROOT
        taken, left = _first_taken(tree, tree.children.get(at, []), left, draw)
        if taken is None:
            return Accepted(tuple(path), draw(left))
        path.append(taken)
        left = np.array(p[taken + 1], np.float64)


def _first_taken(tree: Tree, siblings: list[int], p: F64, draw: Draw) -> tuple[int | None, F64]:
    """The first that is accepted, or what is left of `p` after all were refused."""
    q = np.array(tree.q[siblings[0]], np.float64) if tree.q is not None and siblings else None
    for node in siblings:
        token = int(tree.tokens[node])
        drawn_from = _only(token, len(p)) if q is None else q / q.sum()
        share = min(1.0, p[token] / drawn_from[token])
        if draw(np.array([share, 1 - share])) == 0:
            return node, p
        p = _residual(p, drawn_from)
        if q is not None:
            q[token] = 0
    return None, p


def _residual(p: F64, q: F64) -> F64:
    rest = np.maximum(p - q, 0)
    whole = rest.sum()
    return rest / whole if whole > 0 else p  # p is q but for rounding


def _only(token: int, vocabulary: int) -> F64:
    found = np.zeros(vocabulary)
    found[token] = 1
    return found


def _child(tree: Tree, at: int, token: int) -> int | None:
    return next((node for node in tree.children.get(at, []) if tree.tokens[node] == token), None)

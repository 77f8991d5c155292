"""Tokens that may follow a text: a tree in which each stands after its parent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError

I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
ROOT = -1  # the parent of those that follow the text itself
SUM_OFF = 1e-3  # by which a distribution in float32 may miss 1


@dataclass(frozen=True)
class Budget:
    """How large a tree may be; a chain has one token a level."""

    depth: int = 4  # levels
    top_k: int = 1  # of each level, how many are followed; of each that is, how many may come next
    tokens: int = 4  # of the whole tree

    @classmethod
    def chain(cls, tokens: int) -> Budget:
        """One token after another."""
        return cls(tokens, 1, tokens)

    def within(self, depth: int) -> Budget:
        """At most so deep."""
        tokens = min(self.tokens, depth) if self.top_k == 1 else self.tokens
        return Budget(min(self.depth, depth), self.top_k, tokens if depth else 0)


@dataclass(frozen=True, eq=False)
class Tree:
    """What a drafter proposes.

    Args:
        tokens: (n,); siblings differ, and are tried in their order.
        parents: (n,): the place of an earlier token, or `ROOT`.
        q: (n, vocabulary): what the first of the siblings was drawn from; the others were drawn from the same without
            those before them. None: tokens were chosen, not drawn.
    """

    tokens: I32
    parents: I32
    q: F32 | None = None

    @classmethod
    def of(cls, tokens: list[int], parents: list[int], q: F32 | None = None) -> Tree:
        """From lists."""
        return cls(np.array(tokens, np.int32), np.array(parents, np.int32), q)

    @classmethod
    def chain(cls, tokens: list[int], q: F32 | None = None) -> Tree:
        """One token after another."""
        return cls.of(tokens, list(range(ROOT, len(tokens) - 1)), q)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def depths(self) -> I32:
        """(n,), from 1."""
        found = np.ones(len(self), np.int32)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                found[node] = found[parent] + 1
        return found

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(n, n): whether a token (row) sees another (column): itself, its parent, the parent's, …"""
        found = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                found[node] |= found[parent]
        return found

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """By parent, `ROOT` among them."""
        found: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents.tolist()):
            found.setdefault(parent, []).append(node)
        return found

    def check(self, vocabulary: int, most: int) -> None:
        """Refuse what is no tree, whoever made it.

        Raises:
            WireError: lengths differ, too many tokens, a token outside the vocabulary, a parent that does not stand
                before its child, equal siblings, or no distributions.
        """
        if self.tokens.ndim != 1 or self.tokens.shape != self.parents.shape or len(self) > most:
            raise _malformed(
                f"at most {most} tokens, each with a parent", f"{self.tokens.shape} and {self.parents.shape}"
            )
        if len(self) and not 0 <= self.tokens.min() <= self.tokens.max() < vocabulary:
            raise _malformed(f"tokens below {vocabulary}", f"{self.tokens.min()} to {self.tokens.max()}")
        wrong = np.flatnonzero((self.parents < ROOT) | (self.parents >= np.arange(len(self))))
        if len(wrong):
            raise _malformed("parents before their children", f"{self.parents[wrong[0]]} of token {wrong[0]}")
        if len(set(zip(self.parents.tolist(), self.tokens.tolist(), strict=True))) < len(self):
            raise _malformed("siblings that differ", "two alike")
        if self.q is not None:
            self._check_q(vocabulary)

    def _check_q(self, vocabulary: int) -> None:
        assert self.q is not None
        if self.q.shape != (len(self), vocabulary):
            raise _malformed(f"distributions over {vocabulary} tokens", str(self.q.shape))
        if not len(self):
            return
        good = np.isfinite(self.q).all() and self.q.min() >= 0 and np.abs(self.q.sum(axis=1) - 1).max() <= SUM_OFF
        if not good or not self.q[np.arange(len(self)), self.tokens].all():
            raise _malformed("distributions that the tokens can be drawn from", "others")


def nothing() -> Tree:
    """No token at all."""
    return Tree.of([], [])


def _malformed(needed: str, had: str) -> WireError:
    return WireError("the drafter's tree is malformed", needed=needed, had=had)

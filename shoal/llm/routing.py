"""Experts of a token on few nodes: the routing of DeepSeek-V3, and how often a token crosses between nodes.

Source: DeepSeek-V3 Technical Report, arXiv 2412.19437, section 2.1.2: a node's score is the sum of its two best experts'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Floats = NDArray[np.floating]
Chosen = NDArray[np.int64]  # (tokens, experts of a token), numbers of experts
COUNTED = 2  # best experts of a node that make its score


@dataclass(frozen=True)
class Routing:
    """Experts lie on nodes in order, as many on each."""

    experts: int
    chosen: int  # of a token
    nodes: int = 1
    most: int = 1  # nodes of a token

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.experts < 1 or self.experts % self.nodes:
            raise InputError(f"{self.nodes} nodes do not share {self.experts} experts evenly", where="routing")
        if not 1 <= self.most <= self.nodes or not 1 <= self.chosen <= self.most * self.on_node:
            raise InputError("so many experts are not chosen", where="routing",
                             needed=f"1 to {self.nodes} nodes, 1 to {self.on_node} experts on each",
                             had=f"{self.chosen} experts on {self.most} nodes")  # fmt: skip

    @property
    def on_node(self) -> int:
        """Experts of one node."""
        return self.experts // self.nodes

    def choose(self, scores: Floats, bias: Floats | None = None) -> Chosen:
        """The best experts on the best nodes, best first.

        Args:
            scores: (tokens, experts), how well each fits the token.
            bias: (experts,), added for the choice alone: it balances the load.

        Raises:
            InputError: scores of another shape, or that are not finite.
        """
        if scores.ndim != 2 or scores.shape[1] != self.experts or not np.isfinite(scores).all():
            raise InputError(
                "no scores of experts", needed=f"(tokens, {self.experts}), finite", had=str(scores.shape)
            )
        counted = scores if bias is None else scores + bias
        on_nodes = counted.reshape(len(counted), self.nodes, self.on_node)
        best = np.sort(on_nodes, axis=2)[:, :, -COUNTED:].sum(axis=2)
        shut = np.ones(best.shape, bool)
        np.put_along_axis(shut, _best(best, self.most), False, axis=1)
        return _best(np.where(shut[:, :, None], -np.inf, on_nodes).reshape(counted.shape), self.chosen)

    def crossings(self, chosen: Chosen, homes: NDArray[np.int64], *, once: bool) -> int:
        """How many copies of tokens go to another node than that where they are.

        Args:
            chosen: experts of each token.
            homes: (tokens,), the node of each.
            once: one copy a node, which hands it on to its experts; else one for each expert.
        """
        nodes = chosen // self.on_node
        away = nodes != homes[:, None]
        if not once:
            return int(away.sum())
        return sum(len(set(own[out])) for own, out in zip(nodes, away, strict=True))


def _best(values: Floats, count: int) -> Chosen:
    """Places of the largest values of each row, the largest first; of equals the first."""
    found: Chosen = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return found

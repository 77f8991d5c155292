"""Every plan of a small chain: the oracle that planners are held against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, permutations

from shoal.plan.chain import Chain, Groups, Order


def all_plans(chain: Chain, order: Order = "any") -> Iterator[Groups]:
    """Every division of the chain into consecutive groups on distinct units, feasible or not.

    Args:
        order: "given": units only in the chain's order, any of them left out; "any": in every order.
    """
    choose = combinations if order == "given" else permutations
    for count in range(1, min(chain.units, chain.pieces) + 1):
        for inner in combinations(range(1, chain.pieces), count - 1):
            spans = tuple(pairwise((0, *inner, chain.pieces)))
            for units in choose(range(chain.units), count):
                yield tuple((first, last, unit) for (first, last), unit in zip(spans, units, strict=True))

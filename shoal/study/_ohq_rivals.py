"""Other ways to give each layer a format, for comparison with the integer programme."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from shoal.compress import Budget, Choice

Options = Mapping[str, Sequence[Choice]]


def uniform(options: Options, name: str) -> dict[str, str]:
    """The same everywhere."""
    return dict.fromkeys(options, name)


def exhaustive(options: Options, budget: Budget) -> tuple[float, int]:
    """The least loss of all combinations within the budget, and how many these are; inf and 0 if there are none."""
    best, count = float("inf"), 0
    for some in itertools.product(*options.values()):
        if all(sum(getattr(each, name) for each in some) <= most for name, most in budget.limits.items()):
            best, count = min(best, sum(each.loss for each in some)), count + 1
    return best, count


def greedy(options: Options, name: str, most: float) -> dict[str, str]:
    """From what loses least, a step down where it costs least for what it gains, until `name` is at most `most`."""
    chosen = {op: min(some, key=lambda each: (each.loss, getattr(each, name))) for op, some in options.items()}
    while sum(getattr(each, name) for each in chosen.values()) > most:
        steps = [
            ((each.loss - now.loss) / (getattr(now, name) - getattr(each, name)), op, each)
            for op, now in chosen.items()
            for each in options[op]
            if getattr(each, name) < getattr(now, name)
        ]
        if not steps:
            break
        _, op, each = min(steps, key=lambda step: step[0])
        chosen[op] = each
    return {op: each.format for op, each in chosen.items()}


def drawn(options: Options, name: str, most: float, seed: int) -> dict[str, str]:
    """At random within the limit: from the least of everything, layers in random order take what still fits."""
    source = np.random.default_rng(seed)
    chosen = {op: min(some, key=lambda each: float(getattr(each, name))) for op, some in options.items()}
    left = most - sum(getattr(each, name) for each in chosen.values())
    for op in source.permutation(list(options)).tolist():
        base = getattr(chosen[op], name)
        fitting = [each for each in options[op] if getattr(each, name) - base <= left]
        if fitting:
            each = fitting[int(source.integers(len(fitting)))]
            left -= getattr(each, name) - base
            chosen[op] = each
    return {op: each.format for op, each in chosen.items()}


def tables(seed: int, layers: int, limits: int) -> tuple[dict[str, list[Choice]], Budget]:
    """A made-up network of so many layers with four formats, and limits that bind."""
    source = np.random.default_rng(seed)
    options = {
        f"layer{number}": [
            Choice(
                f"int{bits}", float(source.uniform(0.2, 5) * 4.0**-bits), int(bits * source.integers(50, 900)),
                float(source.uniform(0.2, 2) * bits) * 1e-3, float(source.uniform(0.2, 2) * bits) * 1e-3,
            )
            for bits in (2, 3, 4, 8)
        ]
        for number in range(layers)
    }  # fmt: skip
    found = {}
    for name in ("bits", "latency_s", "energy_j")[:limits]:
        ends = [[pick(getattr(each, name) for each in some) for some in options.values()] for pick in (min, max)]
        low, high = map(sum, ends)
        found[name] = float(low + source.uniform(0.35, 0.8) * (high - low))
    return options, Budget(found.get("bits"), found.get("latency_s"), found.get("energy_j"))

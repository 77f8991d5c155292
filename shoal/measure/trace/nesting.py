"""Which operator is inside which, by thread and containment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shoal.errors import InputError
from shoal.measure.trace.values import Launch, Operator

ROUNDING_S = 1.5e-6  # files have microseconds, and ends are sums of two rounded figures


def with_parents(operators: Sequence[Operator]) -> tuple[Operator, ...]:
    """Operators in the order of their beginnings, each with its parent: the innermost around it on its thread.

    Raises:
        InputError: two of a thread overlap without one being inside the other.
    """
    ordered = sorted(operators, key=lambda each: (each.begin_s, -each.end_s))
    found: list[Operator] = []
    open_: dict[str, list[int]] = {}
    for place, each in enumerate(ordered):
        stack = open_.setdefault(each.thread, [])
        while stack and found[stack[-1]].end_s <= each.begin_s + ROUNDING_S / 10:
            stack.pop()
        if stack and each.end_s > found[stack[-1]].end_s + ROUNDING_S:
            raise InputError("operators of one thread overlap without nesting", where=each.thread,
                             had=f"{found[stack[-1]].name}, {each.name}")  # fmt: skip
        end_s = min(each.end_s, found[stack[-1]].end_s) if stack else each.end_s
        found.append(replace(each, end_s=end_s, parent=stack[-1] if stack else -1))
        stack.append(place)
    return tuple(found)


def with_operators(launches: Sequence[Launch], operators: Sequence[Operator]) -> tuple[Launch, ...]:
    """Launches in the order of their beginnings, each with the innermost operator around it on its thread."""
    threads: dict[str, list[int]] = {}
    for place, each in enumerate(operators):
        threads.setdefault(each.thread, []).append(place)
    found: list[Launch] = []
    begun: dict[str, tuple[int, int]] = {}  # by thread: how many have begun, and the last of them
    for launch in sorted(launches, key=lambda each: each.begin_s):
        places = threads.get(launch.thread, [])
        count, last = begun.get(launch.thread, (0, -1))
        while count < len(places) and operators[places[count]].begin_s <= launch.begin_s:
            last, count = places[count], count + 1
        begun[launch.thread] = (count, last)
        around = last
        while around >= 0 and operators[around].end_s < launch.begin_s:
            around = operators[around].parent
        found.append(replace(launch, operator=around))
    return tuple(found)

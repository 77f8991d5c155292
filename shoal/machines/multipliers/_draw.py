"""Drawing circuits: gates one after another, rows of bits added up."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.machines.multipliers.contract import (
    AND,
    FIRST_GATE,
    FIRST_X,
    INV,
    LOW,
    OR,
    PRODUCT_BITS,
    SELECT,
    X_BITS,
    XOR,
    Circuit,
    Gate,
    Kind,
)

Row = list[int]  # a net for each column of the product


class Drawing:
    """A circuit that is being drawn. No gate is simplified: one that reads LOW still takes its time."""

    def __init__(self) -> None:
        self._gates: list[Gate] = []

    def x(self, bit: int) -> int:
        """The net of a bit of the input; above the highest it is the sign."""
        return FIRST_X + min(bit, X_BITS - 1)

    def inv(self, net: int) -> int:
        """NOT."""
        return self._add(INV, net)

    def select(self, net: int) -> int:
        """What lets a bit through into a Booth row."""
        return self._add(SELECT, net)

    def both(self, first: int, second: int) -> int:
        """AND."""
        return self._add(AND, first, second)

    def either(self, first: int, second: int) -> int:
        """OR."""
        return self._add(OR, first, second)

    def differ(self, first: int, second: int) -> int:
        """XOR."""
        return self._add(XOR, first, second)

    def full(self, a: int, b: int, c: int) -> tuple[int, int]:
        """Sum and carry of three bits: two XOR, two AND, one OR."""
        half = self.differ(a, b)
        return self.differ(half, c), self.either(self.both(a, b), self.both(half, c))

    def half(self, a: int, b: int) -> tuple[int, int]:
        """Sum and carry of two bits."""
        return self.differ(a, b), self.both(a, b)

    def finish(self, outputs: Sequence[int], addend: int = 0) -> Circuit:
        """The circuit without the gates that no output needs."""
        needed = {net for net in outputs if net >= FIRST_GATE}
        for place in range(len(self._gates) - 1, -1, -1):
            if FIRST_GATE + place in needed:
                needed |= {net for net in self._gates[place][1:] if net >= FIRST_GATE}
        order = sorted(needed)
        moved = {net: FIRST_GATE + place for place, net in enumerate(order)}
        gates = (self._gates[net - FIRST_GATE] for net in order)
        kept = tuple(Gate(kind, moved.get(one, one), moved.get(two, two)) for kind, one, two in gates)
        return Circuit(kept, tuple(moved.get(net, net) for net in outputs), addend)

    def _add(self, kind: Kind, first: int, second: int = LOW) -> int:
        self._gates.append(Gate(kind, first, second))
        return FIRST_GATE + len(self._gates) - 1


def two_rows(draw: Drawing, rows: Sequence[Row]) -> tuple[Row, Row]:
    """The rows added up until two are left: whole rows, three into two at a time (Wallace)."""
    left = list(rows)
    while len(left) > 2:
        whole = len(left) // 3 * 3
        summed = [row for first in range(0, whole, 3) for row in _saved(draw, *left[first : first + 3])]
        left = summed + left[whole:]
    empty = [LOW] * PRODUCT_BITS
    first, second = [*left, empty, empty][:2]
    return first, second


def prefix_sum(draw: Drawing, first: Row, second: Row) -> Row:
    """Two rows added by the prefix adder of Kogge and Stone (IEEE Trans. Computers C-22, 1973)."""
    differ = [draw.differ(a, b) for a, b in zip(first, second, strict=True)]
    carry, alive = [draw.both(a, b) for a, b in zip(first, second, strict=True)], list(differ)
    step = 1
    while step < PRODUCT_BITS:
        before, through = list(carry), list(alive)
        for place in range(step, PRODUCT_BITS):
            carry[place] = draw.either(before[place], draw.both(through[place], before[place - step]))
            alive[place] = draw.both(through[place], through[place - step])
        step *= 2
    return [differ[0], *(draw.differ(own, below) for own, below in zip(differ[1:], carry, strict=False))]


def ripple_sum(draw: Drawing, columns: Sequence[Sequence[int]]) -> Row:
    """Columns of at most two bits added from the lowest up, the carry going from one to the next."""
    found, carry = [], None
    for column in columns:
        bits = [*column, *([] if carry is None else [carry])]
        total, carry = _added(draw, bits)
        found.append(total)
    return found


def few_columns(draw: Drawing, columns: Sequence[Sequence[int]]) -> list[list[int]]:
    """Columns of bits down to two each, from the lowest up: each takes in the carries of the one before."""
    left = [list(column) for column in columns]
    for place, column in enumerate(left):
        while len(column) > 2:
            total, carry = draw.full(*(column.pop(0) for _ in range(3)))
            column.append(total)
            if place + 1 < PRODUCT_BITS:
                left[place + 1].append(carry)
    return left


def _saved(draw: Drawing, a: Row, b: Row, c: Row) -> tuple[Row, Row]:
    """Three rows as two: sums, and carries one column up."""
    pairs = [draw.full(*bits) for bits in zip(a, b, c, strict=True)]
    return [total for total, _ in pairs], [LOW, *(carry for _, carry in pairs[:-1])]


def _added(draw: Drawing, bits: Sequence[int]) -> tuple[int, int | None]:
    match len(bits):
        case 0:
            return LOW, None
        case 1:
            return bits[0], None
        case 2:
            return draw.half(*bits)
    return draw.full(*bits)

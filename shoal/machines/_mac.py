"""The gates of a multiply-add in a number format: area, and energy by area times activity.

Source: INT v.s. FP, arXiv 2510.25602, appendix C: lanes with a multiplier each, their products added in one tree;
floating-point products are aligned in it, and normalised once for all lanes. A block's sum is multiplied by both
operands' scales and added up in float32. Left out: registers, wires, clock tree, rounding of the operands, what zero points add.
The publication's library is not open; the cells here are those of one that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2

from shoal.errors import InputError
from shoal.formats import Format
from shoal.formats.binary import Binary
from shoal.formats.block import Block
from shoal.formats.floating import Floating
from shoal.formats.integer import Integer
from shoal.formats.ternary import Ternary
from shoal.machines._energy import energy

LANES = 32  # whose products are added before anything is done about scales
ALIGNED = 24  # bits at most to which products are aligned
SINGLE = (8, 24)  # exponent bits, and mantissa bits with the leading one, of float32
COLUMNS = 4096  # of a product whose scale is one for a whole row
Modelled = Integer | Floating | Block | Ternary | Binary
_SCALES = {"float32": SINGLE, "float16": (5, 11), "e4m3": (4, 4), "e8m0": (8, 0)}


@dataclass(frozen=True)
class Cells:
    """Areas of standard cells in full adders, and how often they switch.

    Source: the smallest cell of each kind in SkyWater's open library sky130_fd_sc_hd (130 nm); a full adder is 7.36 µm
    wide. The activity is a choice, and the same for all.
    """

    full_adder: float = 1.0
    half_adder: float = 0.625
    and_gate: float = 0.3125  # of two, as all below
    or_gate: float = 0.25
    xor: float = 0.4375
    mux: float = 0.5625
    activity: float = 0.5  # energy for area


@dataclass(frozen=True)
class MacCost:
    """One multiply-add, its share of what lanes and blocks have in common included."""

    parts: Mapping[str, float]  # areas in full adders: multiplier, exponents, adders, shifters, scales
    cells: Cells

    @property
    def area(self) -> float:
        """In full adders."""
        return sum(self.parts.values())

    @property
    def energy(self) -> float:
        """In full adders that switch."""
        return self.area * self.cells.activity

    def energy_j(self, node_nm: int = 45) -> float:
        """In joules: the table's multiplication of two 8-bit integers tells what a full adder takes at that node."""
        whole = _multiplier(8, 8, self.cells) * self.cells.activity
        return self.energy / whole * energy("int", "mul", 8, node_nm).energy_j


def mac_cost(
    form: Format, cells: Cells | None = None, columns: int = COLUMNS, activations: Format | None = None
) -> MacCost:
    """What a multiply-add of two operands takes.

    Args:
        form: of whole or floating-point numbers, blocks of them, ternary or binary.
        cells: their sizes.
        columns: that a product sums over, where a scale is one for a row or for all.
        activations: the other operand's format, whole numbers as `form` is; none: the same.

    Raises:
        InputError: no multiplier is modelled for the format, or for the two of them.
    """
    cell, one, other = cells or Cells(), _modelled(form), _modelled(activations or form)
    exponent, mantissa = _element(one)
    span = one.group if one.group > 0 else columns
    lanes = min(span, LANES)
    if (exponent or _element(other)[0]) and other != one:
        raise InputError("no multiplier is modelled for these two formats", needed="whole numbers, or one format",
                         had=f"{_kind(one)} and {_kind(other)}")  # fmt: skip
    if exponent:
        parts = _floating(exponent, mantissa, lanes, cell)
        parts["scales"] = _added(*SINGLE, cell) / lanes
    else:
        parts = _whole(one, other, lanes, span, cell)
        parts["scales"] = (_added(*SINGLE, cell) + _shifter(_width(one, other) + ceil(log2(span)), cell)) / span
    parts["scales"] += sum(_scaled(each.grid.scale, cell) for each in (one, other)) / span
    return MacCost(parts, cell)


def multiplies(form: Format) -> bool:
    """Whether a multiplier of the format by whole numbers is modelled."""
    return isinstance(form, Modelled) and not _element(form)[0]


def operation(item: str, op: str, bits: int, cells: Cells | None = None) -> float:
    """The area of one addition or multiplication by itself, in full adders: to hold the counts against published figures.

    Args:
        item: "int", or "float" of 16 or 32 bits.
        op: "add" or "mul".
        bits: of an operand.
        cells: their sizes.

    Raises:
        InputError: it is none of these.
    """
    cell = cells or Cells()
    if op not in ("add", "mul") or (item, bits) not in {("int", bits), ("float", 16), ("float", 32)}:
        raise InputError("no gates are counted for this operation", had=f"{item} {op} of {bits} bits",
                         needed="add or mul of int, or of float with 16 or 32 bits")  # fmt: skip
    if item == "int":
        return bits * cell.full_adder if op == "add" else _multiplier(bits, bits, cell)
    exponent, mantissa = _SCALES[f"float{bits}"]
    if op == "add":
        return _added(exponent, mantissa, cell)
    return _multiplier(mantissa, mantissa, cell) + exponent * cell.full_adder


def _modelled(form: Format) -> Modelled:
    if not isinstance(form, Modelled):
        raise InputError("no multiplier is modelled for this format",
                         needed="whole or floating-point numbers, blocks of them, ternary, binary",
                         had=_kind(form))  # fmt: skip
    return form


def _kind(form: Format) -> str:
    return type(form).__name__.strip("_").lower()


def _element(form: Modelled) -> tuple[int, int]:
    """Exponent and mantissa bits of a value; whole numbers have no exponent."""
    match form:
        case Integer():
            return 0, form.bits - 1
        case Floating():
            return _float(form.exponent, form.mantissa)
        case Block() if form.element.startswith("int"):
            return 0, int(form.element[3:]) - 1
        case Block():
            return _float(int(form.element[1]), int(form.element[3]))
        case Ternary():
            return 0, 1
        case Binary():
            return 0, 0


def _float(exponent: int, mantissa: int) -> tuple[int, int]:
    """One exponent bit has only values without a leading one: whole numbers."""
    return (exponent, mantissa) if exponent > 1 else (0, mantissa + 1)


def _whole(form: Modelled, other: Modelled, lanes: int, span: int, cell: Cells) -> dict[str, float]:
    width = _width(form, other)
    adders = _tree(width, lanes, cell)
    if span > lanes:  # the trees' sums are added up as whole numbers until the scale changes
        adders += (width + ceil(log2(span))) * cell.full_adder / lanes
    return {"multiplier": _product(form, other, cell), "exponents": 0.0, "adders": adders, "shifters": 0.0}


def _floating(exponent: int, mantissa: int, lanes: int, cell: Cells) -> dict[str, float]:
    width = min(2 ** (exponent + 1) + 2 * mantissa, ALIGNED)
    return {
        "multiplier": _multiplier(mantissa + 1, mantissa + 1, cell),
        "exponents": exponent * cell.full_adder + _exponents(exponent, cell),
        "adders": _tree(width, lanes, cell),
        "shifters": _shifter(width, cell) * (1 + 1 / lanes),  # aligns each product; normalises one sum
    }


def _width(form: Modelled, other: Modelled) -> int:
    """Bits of a product."""
    return _digits(form) + _digits(other)


def _digits(form: Modelled) -> int:
    """Bits of a whole number; of a sign and of what may be zero besides it is one."""
    return 1 if isinstance(form, Ternary | Binary) else _element(form)[1] + 1


def _product(form: Modelled, other: Modelled, cell: Cells) -> float:
    """Of two whole numbers; by a sign it is an XOR for each bit of the other, and an AND where there may be zeros."""
    match form:
        case Binary():
            return cell.xor * _digits(other)
        case Ternary():
            return (cell.xor + cell.and_gate) * _digits(other)
        case _:
            return _multiplier(_digits(form), _digits(other), cell)


def _multiplier(one: int, other: int, cell: Cells) -> float:
    """An array of ANDs, rows of adders below it; the first adder of a row needs no carry."""
    rows = min(one, other)
    wide = max(one, other)
    return one * other * cell.and_gate + (rows - 1) * ((wide - 1) * cell.full_adder + cell.half_adder)


def _tree(width: int, lanes: int, cell: Cells) -> float:
    """Adders of one lane in a binary tree over all lanes; each level is a bit wider."""
    levels = ceil(log2(lanes)) if lanes > 1 else 0
    return sum((width + level) * 0.5 ** (level + 1) for level in range(levels)) * cell.full_adder


def _exponents(bits: int, cell: Cells) -> float:
    """The larger of two exponents, and their difference."""
    return bits * (cell.xor + cell.and_gate + cell.or_gate) + bits * (cell.xor + cell.full_adder)


def _shifter(width: int, cell: Cells) -> float:
    """By any number of places: a stage of muxes for each bit of that number."""
    return width * ceil(log2(width)) * cell.mux


def _added(exponent: int, mantissa: int, cell: Cells) -> float:
    """An addition of floating-point numbers: align, add, normalise."""
    return _exponents(exponent, cell) + 2 * _shifter(mantissa, cell) + mantissa * cell.full_adder


def _scaled(kind: str, cell: Cells) -> float:
    """A sum in float32 times a scale; a power of two only adds to the exponent."""
    exponent, mantissa = _SCALES[kind]
    product = _multiplier(SINGLE[1], mantissa, cell) if mantissa else 0.0
    return product + max(exponent, SINGLE[0]) * cell.full_adder

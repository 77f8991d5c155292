"""Written quantities to SI figures at the door, and SI figures to short text for tables.

Parsing stands on pint with a registry of our own: shoal's few units instead of pint's thousands (whose byte
is a plain number, so that "3" would pass for memory). Pint is imported at the first parse: workers and
`shoal --help` never pay for it. Decimal arithmetic keeps written figures exact: "3.3 µs" is 3.3e-06.
"""

from __future__ import annotations

import functools
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from shoal.errors import UnitError

if TYPE_CHECKING:
    import pint

DEFINITIONS = """
pico- = 1e-12 = p-
nano- = 1e-9 = n-
micro- = 1e-6 = µ- = μ- = u-
milli- = 1e-3 = m-
kilo- = 1e3 = k-
mega- = 1e6 = M-
giga- = 1e9 = G-
tera- = 1e12 = T-
peta- = 1e15 = P-
kibi- = 2**10 = Ki-
mebi- = 2**20 = Mi-
gibi- = 2**30 = Gi-
tebi- = 2**40 = Ti-
byte = [information] = B
bit = byte / 8
bps = bit / second
second = [time] = s
minute = 60 * second = min
hour = 3600 * second = h
day = 86400 * second
year = 31557600 * second
metre = [length] = m
hertz = 1 / second = Hz
joule = [energy] = J
watt = joule / second = W
watt_hour = 3600 * joule = Wh
gram = [mass] = g
flop = [work] = FLOP = op = OP
mac = 2 * flop = MAC
flop_rate = flop / second = FLOPS = OPS = flops
USD = [money] = usd
item = [count] = items
"""  # one operation on integers counts as one flop; a multiply-accumulate as two

EXAMPLES = {
    "byte": "3 GiB",
    "byte/second": "100 Mbit/s",
    "second": "1 ms",
    "watt": "5 W",
    "joule": "2 mJ",
    "flop/second": "13.5 Gflop/s",
    "joule/byte": "60 nJ/B",
    "hertz": "1.5 GHz",
    "kilogram": "20 kg",
    "kilogram/joule": "400 g/kWh",
    "mm²": "100 mm²",
    "USD": "35 USD",
    "item/second": "20 items/s",
}

_QUANTITY = re.compile(r"\s*([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(.*?)\s*", re.DOTALL)
_UNIT = re.compile(
    r"[A-Za-zµμ]{1,20}(?:\s*[/*·]\s*[A-Za-zµμ]{1,20}){0,3}|mm²"
)  # no other powers: nothing here has one


def parse(text: object, unit: str, *, zero: bool = False) -> float:
    """The figure of a written quantity in `unit`: `parse("3 GiB", "byte")` is 3221225472.0.

    Args:
        text: a number and its unit, as written by a person; anything but text is refused.
        unit: the SI unit wanted, such as "byte", "byte/second", "watt", "flop/second", "joule/byte", "USD".
        zero: whether nought is allowed; negative figures never are.

    Raises:
        UnitError: no number, no unit, an unknown unit, one of another kind, or a figure out of range.
    """
    number, written = _split(text, unit)
    factor = _factor(written, unit)
    if isinstance(factor, str):
        raise _fault(factor, text, unit)
    figure = float(number * factor)
    if figure < 0 or not math.isfinite(figure) or (figure == 0 and not zero):
        raise _fault("out of range", text, unit, f"{'zero or more' if zero else 'more than zero'} {unit}")
    return figure


def format_bytes(count: float) -> str:
    """`count` bytes as KiB, MiB, GiB or TiB: "3 GiB"."""
    return _scaled(count, "B", (("", 1), ("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("Ti", 2**40)))


def format_seconds(seconds: float) -> str:
    """`seconds` as ns, µs, ms or s: "1.25 ms"."""
    return _scaled(seconds, "s", _SMALL)


def format_joules(joules: float) -> str:
    """`joules` as nJ, µJ, mJ, J or kJ."""
    return _scaled(joules, "J", (*_SMALL, ("k", 1e3)))


def format_watts(watts: float) -> str:
    """`watts` as mW, W or kW."""
    return _scaled(watts, "W", (("m", 1e-3), ("", 1), ("k", 1e3)))


def format_kilograms(kilograms: float) -> str:
    """`kilograms` as ng, µg, mg, g or kg."""
    return _scaled(1e3 * kilograms, "g", (*_SMALL, ("k", 1e3)))


def format_rate(per_s: float, unit: str = "B/s") -> str:
    """`per_s` of `unit` ("B/s", "flop/s") with a decimal prefix: "12.5 MB/s"."""
    return _scaled(per_s, unit, (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15)))


_SMALL: tuple[tuple[str, float], ...] = (("n", 1e-9), ("µ", 1e-6), ("m", 1e-3), ("", 1))


def _scaled(figure: float, unit: str, prefixes: tuple[tuple[str, float], ...]) -> str:
    """Three significant digits with the first prefix that leaves fewer than 1000."""
    if figure == 0:
        return f"0 {unit}"
    for prefix, scale in prefixes:
        digits = f"{figure / scale:.3g}"
        if abs(float(digits)) < 1000:
            return f"{digits} {prefix}{unit}"
    prefix, scale = prefixes[-1]
    return f"{figure / scale:.0f} {prefix}{unit}"


def _split(text: object, unit: str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if isinstance(text, str) and match is None:
        raise _fault("not a quantity", text, unit)
    if match is None or not match[2]:
        raise _fault("a figure without its unit", text, unit)
    return Decimal(match[1]), match[2]


@functools.lru_cache(maxsize=512)
def _factor(written: str, unit: str) -> Decimal | str:
    """How many `unit` one `written` is, or what is wrong with it."""
    import pint

    known = _registry()
    if not _UNIT.fullmatch(written):
        return "unknown unit"
    try:
        one = known.Quantity(Decimal(1), known.parse_units(written.replace("·", "*")))
        return Decimal(one.m_as(unit))
    except pint.DimensionalityError:
        return "another kind of unit"
    except (pint.UndefinedUnitError, ValueError):  # pint takes "nan" for a number, which scales no unit
        return "unknown unit"


def _fault(what: str, text: object, unit: str, needed: str | None = None) -> UnitError:
    had = repr(text) if len(repr(text)) <= 60 else f"{repr(text)[:60]}…"
    hint = f"write the number with its unit, such as '{EXAMPLES.get(unit, f'1 {unit}')}'"
    return UnitError(what, needed=needed or unit, had=had, hint=hint)


@functools.cache
def _registry() -> pint.UnitRegistry[Decimal]:
    import pint

    return pint.UnitRegistry(DEFINITIONS.strip().splitlines(), non_int_type=Decimal, cache_folder=None)

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import UnitError
from shoal.units import (
    EXAMPLES,
    format_bytes,
    format_joules,
    format_rate,
    format_seconds,
    format_watts,
    parse,
)


@pytest.mark.parametrize(
    ("text", "unit", "figure"),
    [
        ("3 GiB", "byte", 3 * 2**30),
        ("512MiB", "byte", 2**29),
        ("8 GB", "byte", 8e9),
        ("100 Mbit/s", "byte/second", 12.5e6),
        ("100 Mbps", "byte/second", 12.5e6),
        ("1 ms", "second", 0.001),
        ("3.3 µs", "second", 3.3e-6),  # micro sign
        ("3.3 μs", "second", 3.3e-6),  # Greek mu
        ("5 W", "watt", 5.0),
        ("1.5 kJ/h", "watt", 1500 / 3600),
        ("13.5 GFLOPS", "flop/second", 13.5e9),
        ("13.5 Gflop/s", "flop/second", 13.5e9),
        ("21 TOPS", "flop/second", 21e12),
        ("500 GMAC/s", "flop/second", 1e12),
        ("60 nJ/B", "joule/byte", 60e-9),
        ("8 pJ/bit", "joule/byte", 64e-12),
        ("35 USD", "USD", 35.0),
        ("250 g", "kilogram", 0.25),
        ("1.5 GHz", "hertz", 1.5e9),
        ("1_000 B", "byte", 1000.0),
        ("1e3 W·s", "joule", 1000.0),
    ],
)
def test_a_written_quantity_gives_its_si_figure_exactly(text: str, unit: str, figure: float) -> None:
    assert parse(text, unit) == figure


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("3", "a figure without its unit"),
        (3, "a figure without its unit"),
        (True, "a figure without its unit"),
        (["3 GiB"], "a figure without its unit"),
        ("", "not a quantity"),
        ("GiB", "not a quantity"),
        ("nan B", "not a quantity"),
        ("3 parsecs", "unknown unit"),
        ("3 GIB", "unknown unit"),
        ("3 B/", "unknown unit"),
        ("3 B**9**9**9**9", "unknown unit"),
        ("1,5 GB", "unknown unit"),
        ("3 W", "another kind of unit"),
        ("3 B*B", "another kind of unit"),
        ("-3 GiB", "out of range"),
        ("0 B", "out of range"),
        ("1e400 B", "out of range"),
        ("9" * 5000 + " B", "out of range"),
    ],
)
def test_anything_else_is_refused_with_an_example(text: object, what: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, "byte")
    assert caught.value.what == what
    assert caught.value.hint is not None
    assert "3 GiB" in caught.value.hint
    assert "byte" in caught.value.message
    assert len(caught.value.message) < 200


def test_zero_is_allowed_only_where_said_and_negative_never() -> None:
    assert parse("0 W", "watt", zero=True) == 0.0
    with pytest.raises(UnitError, match="zero or more watt"):
        parse("-0.1 W", "watt", zero=True)


def test_every_example_parses() -> None:
    assert all(parse(example, unit) > 0 for unit, example in EXAMPLES.items())


@given(st.floats(min_value=1e-30, max_value=1e30), st.sampled_from(sorted(EXAMPLES)))
def test_a_figure_written_in_its_own_unit_comes_back_exactly(figure: float, unit: str) -> None:
    assert parse(f"{figure!r} {unit}", unit) == figure


@given(st.floats(min_value=1e-8, max_value=1e14))
def test_formatted_figures_parse_back_within_their_three_digits(figure: float) -> None:
    for text, unit in (
        (format_bytes(figure), "byte"),
        (format_seconds(figure), "second"),
        (format_joules(figure), "joule"),
        (format_watts(figure), "watt"),
        (format_rate(figure), "byte/second"),
        (format_rate(figure, "flop/s"), "flop/second"),
    ):
        assert parse(text, unit) == pytest.approx(figure, rel=5.1e-3)


def test_formats_choose_a_readable_prefix() -> None:
    assert format_bytes(1536) == "1.5 KiB"
    assert format_bytes(1023.9 * 1024) == "1 MiB"
    assert format_bytes(0) == "0 B"
    assert format_seconds(0.00125) == "1.25 ms"
    assert format_seconds(999.96e-6) == "1 ms"
    assert format_seconds(7500) == "7500 s"
    assert format_joules(5e-7) == "500 nJ"
    assert format_watts(2.7) == "2.7 W"
    assert format_rate(12.5e6) == "12.5 MB/s"
    assert format_rate(48e9, "flop/s") == "48 Gflop/s"


def test_importing_units_or_the_fleet_values_does_not_import_pint_or_pydantic() -> None:
    script = "import sys, shoal.units, shoal.fleet; sys.exit('pint' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

import math

import pytest

from shoal.report.text import Kind, date, error, plain, plural, quantity, shorten


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.0412, "s", "41.2 ms"),
        (3 * 2**20, "B", "3 MiB"),
        (0.5, "J", "500 mJ"),
        (24.04, "items/s", "24 /s"),
        (0.984, "share", "98 %"),
        (0.002, "share", "0.2 %"),
        (7.0, "count", "7"),
        (None, "s", "—"),
        (math.nan, "B", "—"),
    ],
)
def test_quantity(value: float | None, kind: Kind, text: str) -> None:
    assert quantity(value, kind) == text


def test_errors_have_a_sign() -> None:
    assert [error(v) for v in (0.031, -0.5, 2.0, None, math.inf)] == ["+3.1 %", "−50.0 %", "+200 %", "—", "—"]


def test_words() -> None:
    assert (plural(1, "item"), plural(0, "item")) == ("1 item", "0 items")
    assert date("2025-03-01T12:30:00+00:00") == "2025-03-01 12:30 UTC"
    assert date("some day\n") == "some day�"
    assert plain("a\x1bb") == "a�b"
    assert shorten("board-number-17", 9) == "boar…r-17"
    assert shorten("short", 9) == "short"

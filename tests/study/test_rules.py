"""When a claim is met, and by how much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.errors import InputError
from shoal.study import AtLeast, AtMost, Claim, Finding, Holds, Table, Within, judge, median_of, untestable, words

figures = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("rule", "published", "obtained", "text", "margin"),
    [
        (AtLeast(), 2.0, 2.2, "met by 10 %", 0.1),
        (AtLeast(), 2.0, 2.0, "met by 0 %", 0.0),
        (AtLeast(), 2.0, 1.9, "missed by 5 %", -0.05),
        (AtLeast(1.8), 2.0, 1.9, "met by 5.6 %", 0.1 / 1.8),
        (AtLeast(1.8), "almost linear", 1.7, "missed by 5.6 %", -0.1 / 1.8),
        (AtLeast(), -2.0, -3.0, "missed by 50 %", -0.5),
        (AtMost(), 2.0, 2.1, "missed by 5 %", -0.05),
        (AtMost(), 2.0, 50.0, "missed by 24 times", -24.0),
        (AtMost(0.0), None, 0.3, "missed by 0.3 s", -0.3),
        (Within(relative=0.05), 80.0, 82.0, "met, 2.5 % off, 5 % allowed", 0.025),
        (Within(relative=0.05), 80.0, 70.0, "missed, 12 % off, 5 % allowed", -0.075),
        (Within(absolute=2), 80.0, 78.0, "met, 2 s off, 2 s allowed", 0.0),
        (Within(), 80.0, 80.0, "met, exactly", 0.0),
        (Within(target=85), 80.0, 80.0, "missed, 5 s off", -5.0),
        (Holds(), None, True, "met", None),
        (Holds(), None, False, "missed", None),
    ],
)
def test_verdict_and_margin(
    rule: object, published: float | str | None, obtained: float, text: str, margin: float | None
) -> None:
    found = judge(Claim("k", "t", published, "s", rule), Finding("k", obtained, "measured"))  # type: ignore[arg-type]  # each is a rule
    assert found.text == text
    assert found.margin == (None if margin is None else pytest.approx(margin))


@given(figures, figures)
def test_at_least_and_at_most_differ_only_at_the_target(target: float, obtained: float) -> None:
    finding = Finding("k", obtained, "measured")
    least, most = (judge(Claim("k", "t", target, "", rule), finding) for rule in (AtLeast(), AtMost()))
    assert (least.verdict == "met") == (obtained >= target)
    assert (most.verdict == "met") == (obtained <= target)
    for each in (least, most):
        assert each.margin is not None
        assert (each.margin >= 0) == (each.verdict == "met")


def test_a_limit_within_the_spread_is_told_and_does_not_decide() -> None:
    claim = Claim("k", "t", 2.0, "×", AtLeast())
    assert judge(claim, Finding("k", 2.2, "measured", 5, (1.9, 2.4))).text == "met by 10 %, within its spread"
    assert judge(claim, Finding("k", 1.9, "measured", 5, (1.8, 2.1))).text == "missed by 5 %, within its spread"
    assert judge(claim, Finding("k", 2.2, "measured", 5, (2.1, 2.4))).text == "met by 10 %"


def test_what_was_not_found_and_what_cannot_be() -> None:
    claim = Claim("k", "t", 2.0, "×", AtLeast())
    assert judge(claim, None).verdict == "not run"
    assert judge(claim, untestable("k", "no such machine")).verdict == "not testable here"


@pytest.mark.parametrize(
    ("published", "rule"),
    [
        (None, AtLeast()),
        ("much", AtMost()),
        ("13 of 86", Within(relative=0.1)),
        (2.0, Within(relative=0.1, absolute=1)),
        (0.0, Within(relative=0.1)),
    ],
)
def test_a_claim_that_could_not_be_judged(published: float | str | None, rule: object) -> None:
    with pytest.raises(InputError, match="claim 'k'"):
        Claim("k", "t", published, "s", rule)  # type: ignore[arg-type]  # each is a rule


@pytest.mark.parametrize("obtained", [math.nan, math.inf])
def test_a_figure_that_is_none(obtained: float) -> None:
    with pytest.raises(InputError, match="finite"):
        Finding("k", obtained, "measured")


def test_a_finding_without_provenance_or_reason() -> None:
    with pytest.raises(InputError, match="without provenance"):
        Finding("k", 1.0)
    with pytest.raises(InputError, match="does not say why"):
        Finding("k", None)


def test_yes_or_no_is_no_figure() -> None:
    with pytest.raises(InputError, match="a figure"):
        judge(Claim("k", "t", 1.0, "", AtLeast()), Finding("k", True, "measured"))
    with pytest.raises(InputError, match="True or False"):
        judge(Claim("k", "t", None, "", Holds()), Finding("k", 1.0, "measured"))


@given(st.lists(figures, min_size=1, max_size=60))
def test_the_interval_of_a_median_holds_it(samples: list[float]) -> None:
    found = median_of("k", samples, "measured")
    assert found.interval is not None
    assert found.interval[0] <= float(found.obtained or 0.0) <= found.interval[1]
    assert found.n == len(samples)


@pytest.mark.parametrize(("n", "rank"), [(1, 0), (5, 0), (8, 0), (9, 1), (20, 5), (50, 17)])
def test_the_interval_is_that_of_published_tables(n: int, rank: int) -> None:
    """Ranks as in Hollander and Wolfe's table of the sign test at 95 %, counted from 0."""
    found = median_of("k", [float(each) for each in range(n)], "measured")
    assert found.interval == (rank, n - 1 - rank)


def test_words() -> None:
    assert words("a+ b") == ("a", "b")
    with pytest.raises(InputError, match="lists nothing"):
        words(" + ")


def test_numbers_of_numpy_become_plain() -> None:
    found = Finding("k", np.float32(1.5), "measured", np.int64(3), (np.float64(1), np.float32(2)))  # type: ignore[arg-type]  # as studies pass them
    assert codec.decode(Finding, codec.encode(found), "k") == found == Finding("k", 1.5, "measured", 3, (1.0, 2.0))
    assert Finding("k", np.all([True]), "measured").obtained is True  # type: ignore[arg-type]  # likewise
    table = Table("t", ("a", "b"), np.array([[1, 2], [3, 4]]))  # type: ignore[arg-type]  # likewise
    assert codec.decode(Table, codec.encode(table), "t") == table

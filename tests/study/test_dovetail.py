"""The study of Dovetail: what its exact test can see, sums over texts, what is chosen and foreseen."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from shoal.llm.drafting import Budget, Curve, Drafted, Round, Speed
from shoal.study import _dovetail_exact as exact
from shoal.study._dovetail_runs import DEEP, DGF, LOOKUP, PLAIN, Total
from shoal.study._dovetail_shown import LONGEST, Sweep, ablation, speeds, two_boards
from shoal.study.contract import Finding, Shown

WRITTEN = Drafted((1, 2, 3, 4), (Round(4, 4, 2, 0, 0.5, 0.5), Round(4, 4, 0, 0, 0.5, 0.5)))


def total(accepted: int, rounds: int, seconds: float) -> Total:
    return Total(((1,),), rounds, accepted, accepted + 1, seconds)


def test_all_that_can_be_drawn_has_a_probability_of_one() -> None:
    found = list(exact.outcomes(lambda draw: (draw(np.array([0.5, 0, 0.5])), draw(np.array([0.9, 0.1])))))
    assert sorted(text for _, text in found) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert sum(weight for weight, _ in found) == pytest.approx(1)
    assert max(weight for weight, _ in found) == pytest.approx(0.45)


def test_the_exact_test_sees_a_wrong_distribution() -> None:
    p, other = exact.made_up(0), exact.made_up(1)
    found = exact.texts(exact.drafted(other, Budget(2, 1, 2)), p, 2)
    assert exact.off(found, p, 2) < 1e-9
    assert exact.off(found, other, 2) > 0.01


def test_totals_count_what_was_tried() -> None:
    found = Total.sum([Total.of([WRITTEN]), Total.of([WRITTEN])])
    assert (found.rounds, found.accepted, found.tried, found.seconds) == (4, 4, 8, 4.0)
    assert (found.length, found.alpha, found.tokens_per_s) == (1.0, 0.5, 2.0)


def finding(shown: Shown | None) -> Finding:
    assert isinstance(shown, Finding)
    return shown


def test_what_is_lost_and_how_far_off_the_model_is() -> None:
    speed = Speed(Curve((1, 9), (1.0, 1.0)), Curve((1, 8), (0.1, 0.8)))
    totals = {tokens: total(tokens, 1, 1 + 0.1 * tokens) for tokens in range(LONGEST + 1)}
    chosen, model, *_ = speeds(Sweep(speed, 1.0, totals, speed.target))
    assert finding(chosen).obtained == pytest.approx(0)
    assert finding(model).obtained == pytest.approx(0, abs=1e-9)
    lost, off, *_ = speeds(Sweep(speed, 0.0, totals | {0: total(0, 1, 2.0)}, speed.target))
    assert finding(lost).obtained == pytest.approx(100 * (1 - 0.5 / 5))
    assert finding(off).obtained == pytest.approx(100)


def test_the_order_is_strict() -> None:
    def found(*lengths: int) -> bool:
        names = (DEEP, DGF, PLAIN, LOOKUP)
        each = {name: {"chain": total(length, 1, 1.0), "tree": total(length, 1, 1.0)} for name, length in
                zip(names, lengths, strict=True)}  # fmt: skip
        return bool(finding(next(iter(ablation(each)))).obtained)

    assert found(4, 3, 2, 1)
    assert not found(4, 3, 3, 1)


def test_boards_take_the_best_of_what_was_measured() -> None:
    speed = Speed(Curve((1, 9), (1.0, 1.0)), Curve((1, 8), (0.1, 0.8)))
    totals = {tokens: total(2 * tokens, 4, 1.0) for tokens in range(LONGEST + 1)}

    def found(length: int) -> dict[str, dict[str, Total]]:
        each = {"chain": total(1, 1, 1.0), "tree": total(length, 1, 1.0)}
        return {DEEP: each, DGF: each}

    sweep = Sweep(speed, 0.5, totals, speed.target)
    few, many = (finding(next(iter(two_boards(sweep, found(length))))) for length in (1, 9))
    assert isinstance(few.obtained, float)
    assert isinstance(many.obtained, float)
    assert 2 < few.obtained < many.obtained

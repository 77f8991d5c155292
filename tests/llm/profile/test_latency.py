"""Work by class against counts by hand, a roofline that gives back what it was fitted to, and lines that cross."""

from __future__ import annotations

import pytest

from shoal.errors import InputError, ModelError
from shoal.llm import architecture
from shoal.llm.profile import Efficiency, Machine, Point, Shares, Subject, between, crossing, fitted
from shoal.llm.profile.work import CLASSES, work
from tests.llm import configs, models

SUBJECTS = [Subject("llama", models.LLAMA), Subject("mamba2", models.MAMBA2), Subject("bamba", models.BAMBA)]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
def test_arithmetic_of_a_token_is_that_of_the_architecture(subject: Subject) -> None:
    found = work(subject, Point(200), decode=True, value_bytes=4)
    assert sum(each.flop for each in found.values()) == 2 * architecture(subject.config).macs(200)


def test_attention_grows_with_the_square_and_scans_with_the_length() -> None:
    def flop(subject: Subject, name: str, tokens: int) -> float:
        return work(subject, Point(tokens), False, 4)[name].flop

    assert flop(SUBJECTS[0], "attention", 4000) / flop(SUBJECTS[0], "attention", 1000) == pytest.approx(
        16, rel=0.01
    )
    assert flop(SUBJECTS[1], "ssm_scan", 4000) / flop(SUBJECTS[1], "ssm_scan", 1000) == 4


def test_layers_without_a_formula_are_named() -> None:
    with pytest.raises(ModelError, match="Latent"):
        work(Subject("deepseek", configs.DEEPSEEK_V3), Point(8), False, 4)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
def test_a_fitted_machine_gives_back_what_was_measured(subject: Subject) -> None:
    seconds = {"gemm": 0.3, "attention": 0.2, "ssm_scan": 0.2, "ssm_conv": 0.1, "norm": 0.05, "other": 0.15}
    has = work(subject, Point(256), False, 4)
    seconds = {name: each for name, each in seconds.items() if name not in has or has[name].bytes}
    shares = Shares(subject.name, Point(256), seconds, sum(seconds.values()))
    machine = fitted("here", subject, shares, prefill_s=2.0)
    assert machine.total_s(subject, Point(256)) == pytest.approx(2.0)


def test_calls_bound_what_is_short() -> None:
    machine = Machine("card", 1e15, 1e15, dict.fromkeys(CLASSES, Efficiency()), call_s=1e-3)
    assert machine.total_s(SUBJECTS[0], Point(8)) == pytest.approx(2 * 14e-3)


def test_lines_cross_where_they_are_equal() -> None:
    found = crossing(lambda at: at**2, lambda at: 100 * at, 1, 1e4)
    assert found == pytest.approx(100)
    assert crossing(lambda at: at, lambda at: 2 * at, 1, 1e4) is None
    assert crossing(lambda at: 2 * at, lambda at: at, 1, 1e4) is None
    line = between([1, 10, 100], [1, 100, 10_000])
    assert line(5) == pytest.approx(25)
    with pytest.raises(InputError, match="two points"):
        between([1], [1])

from __future__ import annotations

import pytest

from shoal.record import SplitFigures, SplitRepeat, Twin


def test_a_twin_by_hand() -> None:
    twin = Twin(0.030, 0.010, 0.040, 0.200)
    assert twin.latency_s == pytest.approx(0.280)
    assert twin.period_s == 0.040  # the link is busiest, and its latency does not count
    assert twin.window == 8
    assert Twin(0.1, 0.1, 0.0, 0.0).window == 3


def test_figures_are_medians_and_a_gain_has_two_parts() -> None:
    repeats = tuple(SplitRepeat(0.3, 0.32, period_s, 0.05, 0.07, 0.1) for period_s in (0.09, 0.08, 0.2))
    split = SplitFigures(0, "a", ("x/cpu", "y/cpu"), 4, ("t",), Twin(0.05, 0.07, 0.01, 0.1), repeats=repeats)
    assert split.done
    assert split.period_s == 0.09
    assert split.gain == pytest.approx(0.32 / 0.09)
    assert split.overlap == pytest.approx(0.12 / 0.09)
    assert not SplitFigures(0, "a", ("x/cpu", "y/cpu"), 4, ("t",), split.twin, repeats=repeats, failure="died").done

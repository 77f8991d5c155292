"""Memory of another process is seen from outside, and one that dies or hangs is said to."""

from __future__ import annotations

import pytest

from shoal.errors import WorkError
from shoal.measure.watched import Watched, watched


def done(**asked: float) -> Watched[int]:
    return watched("tests.measure.watched_job", asked, int, "a job", patience_s=asked.pop("patience", 60.0))


def test_what_it_takes_is_seen() -> None:
    found = done(bytes=50_000_000)
    assert found.answer == 3 * ord("x")
    assert found.peak_bytes - found.before_bytes == pytest.approx(50_000_000, rel=0.05)


def test_a_process_that_dies_says_why_and_one_that_hangs_is_ended() -> None:
    with pytest.raises(WorkError, match="a job: the process ended early: ValueError: as it was told"):
        done(die=1)
    with pytest.raises(WorkError, match="a job: the process ended early: -9"):
        done(seconds=60, patience=2.0)

"""Calibration samples of a network in a loop."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.compress.recorded import Recorder, spread
from shoal.errors import InputError


def test_calls_are_spread_over_the_loop() -> None:
    assert sorted(spread(50, 6)) == [0, 10, 20, 29, 39, 49]
    assert sorted(spread(50, 3, until=0.1)) == [0, 2, 4]
    assert spread(3, 3) == {0, 1, 2}
    for count, until in ((0, 1.0), (6, 0.1), (51, 1.0)):
        with pytest.raises(InputError, match="no such calls"):
            spread(50, count, until)


def test_it_keeps_what_was_fed_in_every_round() -> None:
    def halve(feeds: object) -> np.ndarray:
        assert isinstance(feeds, dict)
        return np.asarray(feeds["x"] / 2)

    recorder = Recorder(halve, 4, frozenset((0, 3)))
    for start in (16.0, 160.0):
        x = np.array([start])
        for _ in range(4):
            x = recorder({"x": x})
        assert x == start / 16
    assert [float(each["x"][0]) for each in recorder.samples] == [16, 2, 160, 20]


def test_nothing_chosen_is_refused() -> None:
    with pytest.raises(InputError, match="no calibration samples"):
        Recorder(lambda feeds: feeds["x"], 4, frozenset((7,)))

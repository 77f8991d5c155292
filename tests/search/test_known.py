from __future__ import annotations

import numpy as np
import pytest

from shoal.search import Staircase


@pytest.mark.parametrize("goals", [1, 2, 3, 4])
def test_few_points_are_told_exactly(goals: int) -> None:
    rng = np.random.default_rng(goals)
    points = rng.integers(0, 9, (30, goals)).astype(float)
    asked = rng.integers(0, 9, (200, goals)).astype(float)
    least = Staircase(points).least([asked[:, goal] for goal in range(goals - 1)])
    within = np.all(points[None, :, :-1] <= asked[:, None, :-1], axis=2)
    wanted = np.where(within, points[:, -1], np.inf).min(axis=1)
    assert (np.broadcast_to(least, wanted.shape) == wanted).all()


def test_many_points_never_promise_too_much() -> None:
    rng = np.random.default_rng(0)
    points, asked = rng.random((3000, 4)), rng.random((500, 4))
    least = Staircase(points).least([asked[:, goal] for goal in range(3)])
    within = np.all(points[None, :, :-1] <= asked[:, None, :-1], axis=2)
    wanted = np.where(within, points[:, -1], np.inf).min(axis=1)
    assert (least >= wanted).all()
    assert np.mean(least[wanted < np.inf] - wanted[wanted < np.inf] < 0.1) > 0.9


def test_no_points_beat_nothing() -> None:
    assert np.isinf(Staircase(np.empty((0, 3))).least([np.ones(2), np.ones(2)])).all()

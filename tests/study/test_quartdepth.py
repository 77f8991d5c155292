"""The parts of the study of depth in four bits: exact depths, a network that can be trained, figures of depths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.study import _quartdepth_net as net
from shoal.study._quartdepth_runs import quality, refusals, tails
from shoal.study._quartdepth_scenes import COARSE, SIDE, Scenes, ball_hit, box_hit, scenes


def test_depths_by_hand() -> None:
    rays = np.array([[0.0, 0.0, 1.0], [0.25, 0.0, 1.0], [3.0, 0.0, 1.0]])
    room = box_hit(np.array([0.0, 0.0, -2.0]), rays, np.array([1.5, 1.5, 3.0]), inside=True)
    np.testing.assert_allclose(room.depth, [5.0, 5.0, 0.5])
    np.testing.assert_array_equal(room.facing[2], [-1, 0, 0])
    box = box_hit(np.array([0.0, 0.0, -4.0]), rays, np.array([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(box.depth, [3.0, 3.0, np.inf])
    ball = ball_hit(np.array([0.0, 0.0, -4.0]), rays, 1.0)
    square, half = 1 + 0.25**2, 4.0
    np.testing.assert_allclose(ball.depth[:2], [3.0, (half - np.sqrt(half**2 - square * 15)) / square])
    assert ball.depth[2] == np.inf
    np.testing.assert_allclose(np.linalg.norm(ball.facing[:2], axis=1), 1)
    behind = box_hit(np.array([0.0, 0.0, 4.0]), rays[:1], np.array([1.0, 1.0, 1.0]))
    assert behind.depth[0] == np.inf


def test_rooms_are_the_same_every_time_and_others_for_other_seeds() -> None:
    pytest.importorskip("sklearn")
    one, again, other = scenes(3, 0), scenes(3, 0), scenes(3, 1)
    np.testing.assert_array_equal(one.pictures, again.pictures)
    np.testing.assert_array_equal(one.depths, again.depths)
    assert not np.array_equal(one.depths, other.depths)
    assert one.pictures.shape == (3, 1, SIDE, SIDE)
    assert one.depths.shape == (3, 1, SIDE // COARSE, SIDE // COARSE)
    assert np.isfinite(one.pictures).all()
    assert 0.1 < one.depths.min() < one.depths.max() < 40


def test_figures_of_depths_by_hand() -> None:
    true = np.full((1, 1, 2, 2), 2.0, np.float32)
    found = np.array([2.0, 2.4, 2.6, 1.0], np.float32).reshape(1, 1, 2, 2)
    made = quality([found], Scenes(np.zeros((1, 1, 4, 4), np.float32), true))
    assert made.near == 50
    assert made.relative == pytest.approx(100 * (0 + 0.2 + 0.3 + 0.5) / 4)
    assert made.rms_m == pytest.approx(np.sqrt((0.16 + 0.36 + 1) / 4))


def test_a_network_learns_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from shoal.compress import opened

    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))
    recipe = net.Training(width=4, scenes=8, steps=6, batch=4)
    path = net.trained(recipe, threads=1)
    was = path.stat().st_mtime_ns
    assert net.trained(recipe) == path
    assert path.stat().st_mtime_ns == was
    graph = opened(path)
    samples = scenes(4, 1).samples()
    assert all(refusals(graph, samples).values())
    each = tails(graph, samples, "up")
    assert len(each) == 10
    assert all(some.worst >= some.usual > 0 for some in each)

"""BiBench's metrics from raw results that are known."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.study import _bibench_tracks as tracks
from shoal.study._bibench_grid import FLOAT, Loaded, Trial, counted, made
from tests.train.nets import pictures

TRIALS = [
    Trial("a", "cnn", FLOAT, 0, 0.8, 1.0, (0.8, 0.4)),
    Trial("a", "cnn", FLOAT, 1, 1.0, 3.0, (1.0, 0.5)),
    Trial("b", "cnn", FLOAT, 0, 0.5, 1.0),
    Trial("a", "cnn", "bnn", 0, 0.45, 2.0, (0.45, 0.09)),
    Trial("a", "cnn", "bnn", 1, 0.45, 2.0, (0.45, 0.09)),
    Trial("b", "cnn", "bnn", 0, 0.5, 4.0),
]


def test_a_root_of_a_mean_of_squares() -> None:
    assert tracks.om([3.0, 4.0]) == pytest.approx(12.5**0.5)
    with pytest.raises(InputError):
        tracks.om([])


def test_accuracy_is_relative_to_that_of_the_float_network_of_the_same_kind() -> None:
    assert tracks.by_task(TRIALS, "bnn") == pytest.approx({"a": 0.5, "b": 1.0})
    assert tracks.by_net(TRIALS, "bnn") == pytest.approx({"cnn": 0.75})
    assert tracks.learning(TRIALS, "bnn") == pytest.approx(100 * (1.25 / 2) ** 0.5)
    assert tracks.architecture(TRIALS, "bnn") == pytest.approx(75)
    assert tracks.learning(TRIALS, FLOAT) == pytest.approx(100)
    with pytest.raises(InputError, match="no such trial"):
        tracks.learning(TRIALS, "xnor")


def test_corruption_is_what_is_kept_over_what_a_float_network_keeps() -> None:
    assert tracks.corruption(TRIALS, "bnn", strengths=1) == pytest.approx(100 * ((1 + 0.4**2) / 2) ** 0.5)
    assert tracks.corruption(TRIALS, "bnn", strengths=2) == pytest.approx(100 * (1.2 / 1.5))
    with pytest.raises(InputError, match="no trial on pictures"):
        tracks.corruption(TRIALS[2:3], FLOAT)


def test_efficiency() -> None:
    assert tracks.step_s(TRIALS, "bnn") == pytest.approx(3)
    assert tracks.step_s(TRIALS, FLOAT) == pytest.approx(1.5)
    assert tracks.training(2.0, 1.0, 0.1, 0.1) == pytest.approx(100 * (1.25 / 2) ** 0.5)
    assert tracks.complexity((320, 0, 640, 0)) == pytest.approx(100 * ((32**2 + 64**2) / 2) ** 0.5)
    assert tracks.complexity((10, 10, 10, 10)) == pytest.approx(100)
    assert tracks.inference(0.5, 1.0, 1, 2) == pytest.approx(200)


def test_weights_and_products_are_counted() -> None:
    pytest.importorskip("torch")
    task = Loaded("pictures", pictures(8))
    weights, left, products, products_left = counted(
        made(task, "residual_cnn:width=8,fine=1,coarse=1", "bnn", 0), task.data.x
    )
    assert weights - left == 4 * 8 * 8 * 9
    assert products - products_left == 2 * 8 * 8 * 9 * (64 + 16)
    assert products_left == 64 * 8 * 9 + 8 * 3
    same = counted(made(task, "residual_cnn:width=8,fine=1,coarse=1", FLOAT, 0), task.data.x)
    assert same == (weights, weights, products, products)
    noisy = counted(made(task, "residual_cnn:width=8,fine=1,coarse=1", "fda", 0), task.data.x)
    assert np.array_equal(noisy, (weights, left, products, products_left))

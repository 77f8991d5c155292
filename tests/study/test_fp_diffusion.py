"""The parts of the study of FP-diffusion against what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.graph import load
from shoal.study._diffusion import Sampler, Schedule, train
from shoal.study._frechet import Moments, frechet, psnr_db
from shoal.study._unet import NOISE, PICTURE, TIME, Unet
from shoal.train import Recipe

SMALL = Unet(width=8, times=16, hidden=16, groups=4)


def test_the_distance_of_known_distributions() -> None:
    eye = np.eye(4)
    one = Moments(np.zeros(4), eye)
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet(one, Moments(np.array([3.0, 4, 0, 0]), eye)) == pytest.approx(25)
    assert frechet(one, Moments(np.zeros(4), 9 * eye)) == pytest.approx(4 * (3 - 1) ** 2)


def test_the_distance_is_that_of_scipys_square_root() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    source = np.random.default_rng(0)
    one, other = (
        Moments.of((source.standard_normal((200, 8)) @ source.standard_normal((8, 8))).astype(np.float32)) for _ in range(2)
    )  # fmt: skip
    root = linalg.sqrtm(one.covariance @ other.covariance).real
    whole = np.trace(one.covariance + other.covariance - 2 * root) + ((one.mean - other.mean) ** 2).sum()
    assert frechet(one, other) == pytest.approx(whole, rel=1e-6)
    assert frechet(one, other) == pytest.approx(frechet(other, one), rel=1e-9)


def test_too_few_pictures_for_their_features() -> None:
    with pytest.raises(InputError, match="too few pictures"):
        Moments.of(np.zeros((64, 64), np.float32))
    with pytest.raises(InputError, match="not finite"):
        Moments.of(np.full((65, 64), np.nan, np.float32))


def test_decibels_of_pictures() -> None:
    pictures = np.zeros((3, 1, 8, 8), np.float32)
    off = pictures + np.array([0, 0.2, 2], np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(psnr_db(off, pictures), [99, 20, 0], atol=1e-4)


def test_noise_that_is_known_is_taken_out() -> None:
    """A network that knows the picture leads there from any noise."""
    schedule = Schedule(100)
    wanted = np.random.default_rng(0).uniform(-0.9, 0.9, (4, 1, 8, 8)).astype(np.float32)
    times = {schedule.features(np.array([step]), 16).tobytes(): step for step in range(100)}

    def knowing(feeds: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        kept = schedule.kept[times[feeds[TIME][:1].tobytes()]]
        return np.asarray((feeds[PICTURE] - kept**0.5 * wanted) / (1 - kept) ** 0.5, np.float32)

    noise = np.random.default_rng(1).standard_normal(wanted.shape).astype(np.float32)
    found = Sampler(schedule, 20, 16).pictures(knowing, noise)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_schedule_falls_from_the_picture_to_noise() -> None:
    kept = Schedule(200).kept
    assert (np.diff(kept) <= 0).all()
    assert kept[0] > 0.999
    assert 0 < kept[-1] < 1e-3


def test_torch_and_onnxruntime_have_the_same_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from shoal.compress.gradients import Differentiable

    weights = {name: each + np.float32(0.05) for name, each in SMALL.drawn(0).items()}
    onnx.save(SMALL.model(weights), tmp_path / "unet.onnx")
    source = np.random.default_rng(0)
    feeds = {
        PICTURE: source.standard_normal((3, 1, 8, 8)).astype(np.float32),
        TIME: Schedule().features(np.array([0, 50, 199]), SMALL.times),
    }
    session = ort.InferenceSession(str(tmp_path / "unet.onnx"), providers=["CPUExecutionProvider"])
    network = Differentiable(load(tmp_path / "unet.onnx", sizes={"batch": 1}))
    found = network({name: torch.from_numpy(each) for name, each in feeds.items()}, [NOISE])[NOISE]
    np.testing.assert_allclose(found.numpy(), session.run([NOISE], feeds)[0], rtol=1e-3, atol=1e-4)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    images = np.sign(np.random.default_rng(0).standard_normal((64, 1, 8, 8))).astype(np.float32)
    recipe = Recipe(steps=60, batch=32, rate=3e-3)
    losses = train(tmp_path / "unet.onnx", images, SMALL, Schedule(), recipe)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])
    again = train(tmp_path / "again.onnx", images, SMALL, Schedule(), recipe)
    assert again == losses
    onnx.checker.check_model(str(tmp_path / "unet.onnx"))

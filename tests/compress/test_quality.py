"""Trained networks in eight bits answer like the float ones, on crops and sentences that they were not calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import _quality_data as data
from bench import quality
from shoal.compress import opened
from shoal.graph import save


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_efficientnet_in_eight_bits_sees_the_same(tmp_path: Path) -> None:
    from examples.models import efficientnet_lite0

    source = tmp_path / "efficientnet.onnx"
    save(opened(efficientnet_lite0.model(), folder=tmp_path), source, external=False)
    items = data.crops(data.tested_photos(), 36, seed=2)
    plain = quality.answers(source, "logits", items)
    samples = data.crops(data.calibration_photos(), 11, seed=1)
    quality.ours("rtn:format=int8", activations="int8-inputs")(source, tmp_path / "coded.onnx", samples)
    coded = quality.answers(tmp_path / "coded.onnx", "logits", items)
    assert (plain.argmax(axis=1) == coded.argmax(axis=1)).mean() > 0.9
    assert quality.qsnr_db(plain, coded) > 18


def test_crops_and_sentences_to_calibrate_with_are_others() -> None:
    assert not set(data.tested_photos()) & set(data.calibration_photos())
    calibration, tested = data.sentences()
    assert not set(calibration) & set(tested)
    assert min(len(calibration), len(tested)) > 500
    some, again = (data.crops(data.tested_photos()[:2], 4, seed) for seed in (0, 0))
    assert all(np.array_equal(one["image"], other["image"]) for one, other in zip(some, again, strict=True))
    assert some[0]["image"].shape == (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (50, 100, 0.4038, 0.5962)]
)
def test_wilson(hits: int, of: int, low: float, high: float) -> None:
    assert quality.Share(hits, of).interval == pytest.approx((low, high), abs=1e-4)

"""Tasks: real data, always divided in the same way, and pictures made worse."""

from __future__ import annotations

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.train.corrupt import STRENGTHS, corrupted, kinds
from tests.train.nets import pictures


@pytest.mark.parametrize(
    ("text", "features", "classes", "items"),
    [
        ("digits", (1, 8, 8), 10, 1797),
        ("table", (30,), 2, 569),
        ("table:name=wine", (13,), 3, 178),
        ("patches", (1, 16, 16), 4, 5524),
    ],
)
def test_sets_of_scikit_learn(text: str, features: tuple[int, ...], classes: int, items: int) -> None:
    pytest.importorskip("sklearn")
    task = catalog.make("train/tasks", text)
    data = task.load()
    assert data.shape.features == features
    assert data.classes == classes
    assert len(data.x) + len(data.test_x) == items
    assert set(data.test_y.tolist()) == set(range(classes))
    np.testing.assert_array_equal(task.load().test_x, data.test_x)
    assert task.pictures == (len(features) == 3)


def test_text_is_pythons_own_documentation() -> None:
    data = catalog.make("train/tasks", "text").load()
    assert data.symbols
    assert data.shape.features == (64,)
    assert len(data.x) > 500
    assert np.bincount(data.y).min() > 100


def test_a_table_that_is_not_there() -> None:
    with pytest.raises(InputError):
        catalog.make("train/tasks", "table:name=iris")


@pytest.mark.parametrize("kind", kinds())
def test_corruptions_grow_with_their_strength(kind: str) -> None:
    if kind == "jpeg":
        pytest.importorskip("PIL")
    x = pictures(64).x
    off = [float(np.abs(corrupted(x, kind, strength) - x).mean()) for strength in range(1, STRENGTHS + 1)]
    assert off[0] > 0
    assert off == sorted(off)
    np.testing.assert_array_equal(corrupted(x, kind, 2), corrupted(x, kind, 2))


def test_corruptions_that_are_not_there() -> None:
    for kind, strength in (("fog", 1), ("noise", 0), ("noise", 6)):
        with pytest.raises(InputError):
            corrupted(pictures().x, kind, strength)
    with pytest.raises(InputError, match="even sides"):
        corrupted(np.zeros((1, 1, 5, 5), np.float32), "noise", 1)


def test_contrast_keeps_the_mean_and_blur_a_plain_picture() -> None:
    x = pictures(8).x
    np.testing.assert_allclose(corrupted(x, "contrast", 5).mean(axis=(2, 3)), x.mean(axis=(2, 3)), atol=1e-6)
    plain = np.full((1, 1, 8, 8), 3, np.float32)
    np.testing.assert_allclose(corrupted(plain, "blur", 5), plain, rtol=1e-6)
    np.testing.assert_allclose(corrupted(plain, "pixelate", 5), plain)

"""What follows from a decoder's sizes."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.train.language import Decoder


def test_every_parameter_has_its_shape() -> None:
    shapes = Decoder(width=8, layers=2, heads=2, hidden=12, context=16).shapes()
    assert shapes["embed_tokens.weight"] == (256, 8)
    assert shapes["layers.1.mlp.down_proj.weight"] == (8, 12)
    assert len(shapes) == 2 * (7 + 2) + 2


def test_a_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    cos, sin = Decoder(width=16, heads=2).rotations(12)
    source = np.random.default_rng(0)
    q, k = source.standard_normal((2, 8))

    def turned(x: np.ndarray, place: int) -> np.ndarray:
        return x * cos[place] + np.concatenate([-x[4:], x[:4]]) * sin[place]

    assert np.linalg.norm(turned(q, 7)) == pytest.approx(np.linalg.norm(q), rel=1e-6)
    assert turned(q, 9) @ turned(k, 4) == pytest.approx(turned(q, 7) @ turned(k, 2), rel=1e-5)


@pytest.mark.parametrize(("sizes", "told"), [({"width": 9, "heads": 2}, "heads"), ({"layers": 0}, "layers 0")])
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Decoder(**sizes)  # type: ignore[arg-type]  # figures are all whole

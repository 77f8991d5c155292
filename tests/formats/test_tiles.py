"""Tiles: an outlier spoils its own tile only, edges may be ragged, a scale serves rows × columns."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.formats import make, quantise, restored


def error(name: str, values: np.ndarray) -> np.ndarray:
    form = make(name)
    return np.abs(restored(form, quantise(form, values)) - values)


def test_an_outlier_spoils_its_own_tile_only() -> None:
    plain = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    spoilt = plain.copy()
    spoilt[0, 0] = 3e5
    inside = np.zeros((256, 256), bool)
    inside[:128, :128] = True
    before, after = error("e4m3b128", plain), error("e4m3b128", spoilt)
    np.testing.assert_array_equal(before[~inside], after[~inside])
    assert after[inside][1:].mean() > 10 * before[inside].mean()
    assert error("e4m3t", spoilt)[~inside].mean() > 10 * after[~inside].mean()
    tokens = error("e4m3b1x128", spoilt)
    assert tokens[1:].mean() == pytest.approx(error("e4m3b1x128", plain)[1:].mean())


def test_a_tile_is_what_it_is_by_itself() -> None:
    values = np.random.default_rng(1).standard_normal((20, 30)).astype(np.float32)
    whole, form = quantise(make("e4m3b8x16"), values), make("e4m3t")
    for row, column in ((0, 0), (8, 16), (16, 16)):  # the last two are cut off by the edges
        tile = np.ascontiguousarray(values[row : row + 8, column : column + 16])
        scale = np.abs(tile).max() / 448
        assert whole.params["scales"][row // 8, column // 16] == np.float32(scale)
        own = form.decode(form.assign(tile, {"scales": np.full((1, 1), scale, np.float32)}),
                          {"scales": np.full((1, 1), scale, np.float32)})  # fmt: skip
        np.testing.assert_array_equal(restored(make("e4m3b8x16"), whole)[row : row + 8, column : column + 16], own)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (129, 127), (256, 128)])
def test_ragged_matrices_there_and_back(shape: tuple[int, int]) -> None:
    form, values = make("e4m3b128"), np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    coded = quantise(form, values)
    streams = form.pack(coded)
    assert 8 * sum(each.size for each in streams.values()) == form.stored_bits(shape)
    np.testing.assert_array_equal(restored(form, form.unpack(streams, shape)), restored(form, coded))


def test_what_is_no_tile_is_refused() -> None:
    with pytest.raises(InputError, match="a tile needs"):
        make("e4m3b0")
    form = make("e4m3b128")
    with pytest.raises(InputError, match="'scales' are missing"):
        form.unpack({"codes": np.zeros(4, np.uint8)}, (2, 2))
    with pytest.raises(InputError, match="not finite"):
        form.fit(np.array([[np.nan]], np.float32))

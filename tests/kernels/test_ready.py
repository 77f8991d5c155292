"""Coded matrices multiplied by the kernels, beside what the formats say is stored."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.formats import make, quantise, restored
from shoal.kernels.ready import ready
from shoal.kernels.trits import Trits
from tests.kernels.rounding import rounded

READY = (
    "int8", "int8t", "int8g32", "int8ag16", "int6", "int5ag32", "int4", "int4t", "int4g32", "int4ag64", "int4sg128",
    "int3g64", "int3a", "int2", "int2ag64", "int2g256", "tern2", "tern3x5", "tern5x8t", "tern2g64", "bin", "bint", "bing64",
    "tern3x5t", "tern5x8", "tern5x8g64", "hlq1g64", "hlq2g64", "hlq3g128", "hlq4", "hlq2g512", "hlq2g32",
)  # fmt: skip


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("columns", [512, 1536])
def test_products_are_of_what_is_stored(name: str, columns: int) -> None:
    source = np.random.default_rng(0)
    form = make(name)
    coded = quantise(form, source.standard_normal((9, columns)).astype(np.float32))
    matrix = ready(form, coded)
    assert matrix is not None
    x = source.standard_normal((3, columns)).astype(np.float32)
    expected = rounded(x, matrix.taken_columns).astype(np.float64) @ restored(form, coded).T.astype(np.float64)
    np.testing.assert_allclose(matrix.product(x), expected, atol=3e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["tern2", "tern3x5", "tern5x8", "bin", "int4", "hlq2", "int8"])
def test_a_row_of_any_length(name: str) -> None:
    source = np.random.default_rng(1)
    form = make(name)
    coded = quantise(form, source.standard_normal((4, 77)).astype(np.float32))
    matrix = ready(form, coded)
    assert matrix is not None
    x = source.standard_normal((2, 77)).astype(np.float32)
    expected = x @ restored(form, coded).T
    assert np.linalg.norm(matrix.product(x) - expected) < 0.01 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["int4g24", "int4g512", "hlq2g16", "e2m1g32", "mxfp4", "pow2", "int4g32+rotate"])
def test_formats_without_kernels_are_not_ready(name: str) -> None:
    form = make(name)
    coded = quantise(form, np.random.default_rng(0).standard_normal((4, 1536)).astype(np.float32))
    assert ready(form, coded) is None


@pytest.mark.parametrize(("name", "bits"), [("tern5x8", 1.6), ("tern3x5", 5 / 3), ("tern2", 2.0)])
def test_ternary_weights_take_no_more_than_in_the_file(name: str, bits: float) -> None:
    form, shape = make(name), (64, 3840)
    coded = quantise(form, np.random.default_rng(2).standard_normal(shape).astype(np.float32))
    matrix = ready(form, coded)
    assert matrix is not None
    assert 8 * matrix.bytes / (shape[0] * shape[1]) == pytest.approx(bits, rel=0.01)


def test_bytes_of_five_are_those_of_the_file() -> None:
    form = make("tern5x8")
    coded = quantise(form, np.random.default_rng(3).standard_normal((7, 65)).astype(np.float32))
    matrix = ready(form, coded)
    assert isinstance(matrix, Trits)
    assert matrix.codes.tobytes() == form.pack(coded)["codes"].tobytes()

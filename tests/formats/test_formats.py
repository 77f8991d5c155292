"""Every format: nearest values, ascending ones, the same bytes there and back, as many as stated."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import InputError
from shoal.formats import Coded, Format, quantise, restored
from shoal.formats._floats import float_values
from shoal.formats.composers.rotate import rotated

NAMES = (
    "int2", "int3t", "int4g16", "int4sg16", "int4ag32", "int4asg16", "int8", "int8a", "integer:bits=5,full=true",
    "e4m3", "e5m2t", "e2m3g32", "e2m1s", "e3m0", "e1m2g16", "e2m5", "e3m4s",
    "fp4", "fp4t", "fp4g16", "fp6", "fp8t", "split:bits=4,splits=e3m0",
    "mxfp8", "mxint8", "mxfp6", "mxint6", "mxfp4", "mxint4", "nvfp4", "nvint4", "block:element=e2m1,rule=floor",
    "tern2", "tern3x5", "tern5x8t", "tern5x8g32", "ternary:fitted=mean", "bin", "bint", "bing64",
    "hlq1g32", "hlq2g64", "hlq3", "hlq4g16", "planes:bits=2,group=-1", "pow2", "codebook:values=-3/-1/0/2/5",
    "e4m3b64", "e4m3b1x64", "e2m3b4x48", "logfmt8g64", "logfmt6g32", "logfmt:bits=4,group=0",
)  # fmt: skip
COMPOSED = (
    "int4g16+lowrank:rank=2", "hlq2g32+outliers:share=0.02", "nvint4+rotate:size=16",
    "int3g32+rotate+lowrank:rank=1+outliers:share=0.01",
)  # fmt: skip
SHAPE = (6, 192)


def matrix(seed: int = 0, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    """Normal values, some large ones, a row of zeros and one of tiny values."""
    source = np.random.default_rng(seed)
    found = source.standard_normal(shape).astype(np.float32)
    found.reshape(-1)[source.integers(0, found.size, 5)] *= 20
    found[2:3] = 0
    found[1:2] *= 1e-3
    return found


@pytest.mark.parametrize("name", NAMES + COMPOSED)
@pytest.mark.parametrize("shape", [SHAPE, (2, 64), (3, 320)])
def test_bytes_there_and_back(name: str, shape: tuple[int, int]) -> None:
    form = formats.make(name)
    coded = quantise(form, matrix(3, shape))
    streams = form.pack(coded)
    assert all(stream.dtype == np.uint8 for stream in streams.values())
    assert 8 * sum(stream.size for stream in streams.values()) == form.stored_bits(shape)
    again = form.unpack(streams, shape)
    np.testing.assert_array_equal(again.codes, coded.codes)
    assert set(again.params) == set(coded.params)
    for what, each in coded.params.items():
        np.testing.assert_array_equal(again.params[what], each, what)
    np.testing.assert_array_equal(restored(form, again), restored(form, coded))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_coded_is_coded_alike_again(name: str) -> None:
    form = formats.make(name)
    coded = quantise(form, matrix(1))
    made = restored(form, coded)
    again = form.decode(form.assign(made, coded.params), coded.params)
    np.testing.assert_allclose(again, made, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_nearest_value_there_is(name: str) -> None:
    """Against all values of every group; of a binary number it is the sign that decides."""
    form = formats.make(name)
    weights = matrix(2, (3, 192))
    coded = quantise(form, weights)
    made = restored(form, coded)
    count = int(coded.codes.max()) + 1
    every = [form.decode(np.full(weights.shape, code, np.uint8), coded.params) for code in range(count)]
    least = np.min([np.abs(each - weights) for each in every], axis=0)
    np.testing.assert_allclose(np.abs(made - weights), least, rtol=1e-4, atol=1e-6 * np.abs(weights).max())


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("bin")])
def test_neighbours_are_on_both_sides(name: str) -> None:
    form = formats.make(name)
    weights = matrix(4)[:4]
    coded = quantise(form, weights)
    low, high = (form.decode(each, coded.params) for each in form.bracket(weights, coded.params))
    assert (low <= high).all()
    made = restored(form, coded)
    inside = (weights >= low) & (weights <= high)
    nearer = np.where(np.abs(low - weights) <= np.abs(high - weights), low, high)
    np.testing.assert_allclose(
        np.abs(made - weights)[inside], np.abs(nearer - weights)[inside], rtol=1e-4, atol=1e-6
    )
    assert inside.mean() > 0.6


@pytest.mark.parametrize("name", [name for name in NAMES if "hlq" not in name and "planes" not in name])
def test_larger_codes_are_larger_values(name: str) -> None:
    form = formats.make(name)
    coded = quantise(form, matrix(5))
    codes = np.arange(int(coded.codes.max()) + 1, dtype=np.uint8)
    values = [form.decode(np.full(SHAPE, code, np.uint8), coded.params)[0, 0] for code in codes]
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("name", ["int4g16", "int4ag16", "mxfp4", "hlq2g32", "int8", "tern2g16"])
def test_columns_by_themselves_are_coded_alike(name: str) -> None:
    form = formats.make(name)
    weights = matrix(6)
    coded = quantise(form, weights)
    width = form.group or 192
    group = slice(width, 2 * width) if width < 192 else slice(0, width)
    own = {
        what: each[:, group.start // width : group.start // width + 1] if each.shape[1] > 1 else each
        for what, each in coded.params.items()
        if what != "whole"
    }
    for column in range(group.start, group.stop, 5):
        codes = form.assign(weights[:, column : column + 1], own)
        np.testing.assert_array_equal(codes[:, 0], coded.codes[:, column])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("e4m3", ml_dtypes.float8_e4m3fn), ("e5m2", ml_dtypes.float8_e5m2), ("e2m3", ml_dtypes.float6_e2m3fn),
     ("e3m2", ml_dtypes.float6_e3m2fn), ("e2m1", ml_dtypes.float4_e2m1fn)],
)  # fmt: skip
def test_small_floats_are_those_of_ml_dtypes(name: str, dtype: type) -> None:
    """Values, bit patterns, and rounding to the even one."""
    form = formats.make(name)
    exponent, mantissa = int(name[1]), int(name[3])
    half = float_values(exponent, mantissa)
    bits = np.arange(len(half), dtype=np.uint8)
    np.testing.assert_array_equal(bits.view(dtype).astype(np.float32), half)
    values = np.linspace(-half[-1], half[-1], 4001, dtype=np.float32)[None]
    params = {"scales": np.ones((1, 1), np.float32)}
    middles = ((half[1:] + half[:-1]) / 2)[None]
    for each in (values, middles, -middles):
        np.testing.assert_array_equal(
            form.decode(form.assign(each, params), params), each.astype(dtype).astype(np.float32)
        )
    packed = form.pack(Coded(form.assign(values, params), params))["codes"]
    if exponent + mantissa == 7:
        expected = values.astype(dtype).view(np.uint8).reshape(-1)
        np.testing.assert_array_equal(np.where(packed == 128, 0, packed), np.where(expected == 128, 0, expected))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["int4", "int8", "e4m3", "e2m1", "mxfp8", "nvint4"]))
def test_no_value_clips_without_a_search(seed: int, name: str) -> None:
    form = formats.make(name)
    weights = matrix(seed, (2, 64))[:, :]
    coded = quantise(form, weights)
    step = np.abs(restored(form, coded) - weights)
    low, high = (form.decode(each, coded.params) for each in form.bracket(weights, coded.params))
    assert (step <= (high - low) / 2 * 1.07 + 1e-6).all()  # float16 and E4M3 scales may round down a little


def test_searching_never_makes_it_worse() -> None:
    weights = matrix(8, (4, 256))
    for plain, searched in (("int4g32", "int4sg32"), ("e2m1g32", "e2m1sg32"), ("int4ag32", "int4asg32")):
        errors = [
            float(((restored(form, quantise(form, weights)) - weights) ** 2).sum())
            for form in (formats.make(plain), formats.make(searched))
        ]
        assert errors[1] < errors[0]


@pytest.mark.parametrize(("law", "expected"), [("normal", (0.252, 0.116, 0.111)), ("student", (0.52, 0.20, 0.18))])
def test_planes_fit_better_than_uniform_levels(law: str, expected: tuple[float, float, float]) -> None:
    """Relative squared errors of two bits in groups of 128: whole range, searched, free scales (arXiv 2510.19482)."""
    source = np.random.default_rng(0)
    shape = (256, 1024)
    weights = (source.standard_normal(shape) if law == "normal" else source.standard_t(4, shape)).astype(np.float32)
    errors = []
    for name in ("int2ag128", "int2asg128", "hlq2g128"):
        form = formats.make(name)
        made = restored(form, quantise(form, weights))
        errors.append(float(((made - weights) ** 2).sum() / (weights**2).sum()))
    assert errors[2] <= errors[1] <= errors[0]
    assert errors[2] == pytest.approx(expected[2], rel=0.06)
    assert errors[2] <= expected[2]


def test_importance_moves_the_error() -> None:
    weights = matrix(9, (4, 128))
    importance = np.ones(128, np.float32)
    importance[:4] = 1000
    for name in ("int3sg32", "hlq2g32", "tern2g32", "e2m1sg32"):
        form = formats.make(name)
        errors = []
        for each in (None, importance):
            params = form.fit(weights, each)
            made = form.decode(form.assign(weights, params), params)
            errors.append(float(((made - weights) ** 2)[:, :4].sum()))
        assert errors[1] <= errors[0], name


def test_a_composed_format_is_closer() -> None:
    weights = matrix(10, (32, 256))
    plain = formats.make("int3g64")
    error = np.linalg.norm(restored(plain, quantise(plain, weights)) - weights)
    for name in ("int3g64+lowrank:rank=4", "int3g64+outliers:share=0.01", "int3g64+rotate"):
        form = formats.make(name)
        assert np.linalg.norm(restored(form, quantise(form, weights)) - weights) < error, name


@pytest.mark.parametrize("size", [0, 1, 2, 16, 64])
def test_a_rotation_keeps_products_and_comes_back(size: int) -> None:
    one, other = matrix(11), matrix(12)
    turned = rotated(one, size), rotated(other, size)
    np.testing.assert_allclose(turned[0] @ turned[1].T, one @ other.T, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(rotated(turned[0], size, back=True), one, atol=1e-4)
    if size > 1:
        assert np.abs(turned[0]).max() < np.abs(one).max()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int9", "no number format is called"), ("integer:bits=9", "bits"), ("mxfp5", "did you mean"),
        ("floating:exponent=6", "floating-point"), ("codebook:values=1", "codebook"), ("codebook:values=a/b", "strokes"),
        ("int4+nothing", "no composer"), ("int4+lowrank:rank=0", "rank"), ("int4+rotate:size=3", "power of two"),
        ("split:bits=4,splits=e2m2", "3 bits of exponent and mantissa"), ("split:bits=9", "floating-point"),
        ("split:least=0", "largest values"), ("split:bits=4,splits=wide", "not divided so"), ("split:bits=1", "so few"),
        ("planes:bits=5", "planes"), ("int4+outliers:share=2", "share"), ("block:group=0", "group"),
    ],
)  # fmt: skip
def test_names_that_nothing_has(name: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        formats.make(name)
    assert said in f"{found.value} {found.value.hint}"


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("int4g64", np.ones((2, 96), np.float32), "the nearest that do: 48"),
        ("int4", np.array([[1, np.nan]], np.float32), "not finite"),
        ("hlq2", np.array([[1, np.inf]], np.float32), "not finite"),
        ("int4", np.ones(3, np.float32), "no matrix"),
        ("int4", np.ones((0, 4), np.float32), "no matrix"),
        ("int4+lowrank:rank=5", np.ones((4, 8), np.float32), "rank is too high"),
        ("int4+rotate:size=16", np.ones((4, 8), np.float32), "do not divide"),
    ],
)
def test_weights_that_cannot_be_coded(name: str, weights: NDArray[np.float32], said: str) -> None:
    with pytest.raises(InputError) as found:
        formats.make(name).fit(weights)
    assert said in f"{found.value} {found.value.hint}"


@pytest.mark.parametrize("name", ["int4g32", "e2m3", "mxfp4", "nvfp4", "tern5x8", "tern3x5", "hlq2g32", "bin"])
@pytest.mark.parametrize("stream", ["codes", "scales"])
def test_bytes_that_are_cut_off(name: str, stream: str) -> None:
    form: Format = formats.make(name)
    streams = dict(form.pack(quantise(form, matrix())))
    streams[stream] = streams[stream][:-1]
    with pytest.raises(InputError, match="cut off"):
        form.unpack(streams, SHAPE)


def test_bytes_that_stand_for_nothing() -> None:
    form = formats.make("tern5x8")
    streams = dict(form.pack(quantise(form, matrix())))
    streams["codes"] = np.full_like(streams["codes"], 243)
    with pytest.raises(InputError, match="at most 242"):
        form.unpack(streams, SHAPE)

"""The parts of the study of whole against floating-point numbers: measured blocks, narrow scales, rounded training."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from shoal import formats
from shoal.errors import InputError
from shoal.formats import quantise, restored
from shoal.study import Bench
from shoal.study import _int_vs_fp_training as training
from shoal.study._blocks import binned, lost, packs, product_db, refusals, theory
from shoal.study._int_vs_fp_shown import FORMATS, close, int8_wins, lead
from shoal.study._narrow import bias, narrow, overflowing
from shoal.study._networks import network
from shoal.study._operands import Operands
from shoal.study._prose import passages, prose


def normal(rows: int = 64, columns: int = 512, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


# QSNR of normal values, computed once with nothing of shoal from the formats' definitions.
REFERENCE = {"mxint8": 41.6, "mxfp8": 31.5, "mxint6": 29.4, "mxfp6": 31.0, "mxint4": 16.9, "mxfp4": 18.8,
             "nvint4": 21.3, "nvfp4": 20.4}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_normal_values_lose_what_is_published(name: str) -> None:
    found = lost(name, normal())
    assert found.whole_db == pytest.approx(REFERENCE[name], abs=0.5)
    assert found.mean_db == pytest.approx(theory(name, found.crests).mean(), abs=2.0)
    assert found.crests.mean() == pytest.approx(2.11 if name.startswith("nv") else 2.37, abs=0.03)


def test_the_mean_of_blocks_is_not_the_db_of_the_mean_error() -> None:
    """A row of large values with one outlier counts in the whole matrix; of blocks it is one in 64."""
    values = normal()
    values[0] *= 1000
    values[0, ::32] *= 100
    found = lost("mxint8", values)
    assert found.mean_db > found.whole_db + 5


def test_blocks_of_zeros_are_left_out() -> None:
    values = normal(2, 64)
    values[0, :32] = 0
    assert len(lost("mxint8", values).blocks_db) == 3


def test_blocks_by_crest_factor() -> None:
    """Rows of all sizes: what a power of two loses depends on where the largest value stands between two of them."""
    sizes = np.exp2(np.random.default_rng(1).random((512, 1))).astype(np.float32)
    crests, means = binned([lost("mxint8", normal(512) * sizes)], np.arange(1.25, 6, 0.25))
    assert crests == sorted(crests)
    assert means == sorted(means, reverse=True)
    assert len(crests) == len(means) >= 5


def test_a_rotation_helps_whole_numbers_where_there_are_outliers() -> None:
    x, w = normal(64, 256, 1), normal(64, 256, 2)
    x[:, ::40] *= 8
    each = Operands("layer", x, w)
    assert lead(each, 16, 0) > lead(each, None, 0) + 0.5
    assert product_db("mxint8", x, w) > 30


def test_claims_about_operands_are_counted() -> None:
    losses = {
        ("a", side, name): lost(name, normal(seed=seed)) for seed, side in enumerate("xw") for name in FORMATS
    }
    assert close({"net": losses}).obtained == 100
    assert int8_wins({"net": losses}).obtained == 100
    wrong = {key: lost("mxint4" if key[2] == "mxint8" else key[2], normal()) for key in losses}
    assert int8_wins({"net": wrong}).obtained == 0
    assert close({"net": wrong}).interval == (0, 100)


def test_every_format_packs_and_wrong_input_is_named() -> None:
    assert all(map(packs, formats.EXAMPLES))
    assert all(refusals().values()), refusals()


@pytest.mark.parametrize(("kind", "dtype"), [("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16)])
def test_narrow_values_are_those_of_ml_dtypes(kind: Any, dtype: type) -> None:
    values = np.concatenate([normal(8, 512).ravel(), np.array([0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8], np.float32)])
    np.testing.assert_array_equal(narrow(values, kind), values.astype(dtype).astype(np.float32))


def test_bfloat16_values_round_beyond_127_as_often_as_published() -> None:
    assert overflowing("bfloat16", 1 << 20) == pytest.approx(0.1682, abs=0.003)
    assert overflowing("float16", 1 << 20) < 0.001
    assert overflowing("float32", 1 << 16) == 0


def test_an_uneven_range_is_biased_where_scales_are_narrow() -> None:
    values = normal(4096, 512).ravel()
    uneven, even = bias(values, "bfloat16", -128), bias(values, "bfloat16", -127)
    assert abs(uneven.deviations) > 5
    assert abs(even.deviations) < 3
    assert uneven.at_end > 0.001
    assert bias(values, "float32", -128).at_end == 0


def test_the_text_is_real_and_the_same_every_time() -> None:
    text = prose(20_000)
    assert len(text) == 20_000
    assert text == prose(20_000)
    assert text.count(" the ") > 50
    some = passages(5)
    assert len(set(some)) == 5
    assert all(len(each) >= 400 for each in some)


def test_a_network_that_is_not_known(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="no light model is called 'minilmm'"):
        network(Bench(tmp_path, 0, lambda _: None), "minilmm", 1)


def test_formats_in_torch_are_those_of_the_registry() -> None:
    torch = pytest.importorskip("torch")
    values = normal(16, 128)
    values[0, :32], values[1, :32] = 0, values[1, :32] * 1e-20
    for name, rounded in (("mxint8", training.integers), ("mxfp8", training.floats)):
        form = formats.make(name)
        expected = restored(form, quantise(form, values))
        np.testing.assert_array_equal(rounded(torch.from_numpy(values)).numpy(), expected)


def test_all_six_operands_are_rounded_along_the_axis_they_are_summed_over() -> None:
    torch = pytest.importorskip("torch")
    x, w = (torch.from_numpy(normal(32, 64, seed)).requires_grad_() for seed in (1, 2))
    g = torch.from_numpy(normal(32, 32, 3))
    (training._product(x, w, training.integers) * g).sum().backward()
    q = training.integers
    with torch.no_grad():
        torch.testing.assert_close(training._product(x, w, q), q(x) @ q(w).T)
        torch.testing.assert_close(x.grad, q(g) @ q(w.T).T)
        torch.testing.assert_close(w.grad, q(g.T) @ q(x.T).T)


def test_training_in_eight_bits_follows_that_in_float32() -> None:
    pytest.importorskip("torch")
    recipe = training.Recipe(width=32, layers=1, heads=2, tokens=32, batch=8, steps=30)
    text = prose(40_000)
    plain, whole = (training.trained(text, name, recipe) for name in ("float32", "mxint8"))
    assert plain.losses[0] == pytest.approx(whole.losses[0], rel=0.01)
    assert plain.final < 0.9 * plain.losses[0]
    assert whole.final == pytest.approx(plain.final, rel=0.02)
    assert whole.losses != plain.losses
    assert training.trained(text, "mxint8", recipe).losses == whole.losses
    found = training.casts(text, plain, ("mxint8", "mxint4"), recipe)
    assert 0 < found["mxint8"].divergence < found["mxint4"].divergence
    some = training.seen(text, plain, recipe, 40)
    assert [each.w.shape for each in some] == [(40, 32), (32, 32), (40, 32), (32, 128)]
    assert all(each.x.shape == (40, each.w.shape[1]) for each in some)

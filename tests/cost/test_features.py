"""Fits on times of a known form, on noise, on real kernels; what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from shoal import codec
from shoal.cost.features import Fits, Hints, features, fit_kernels, mape
from shoal.errors import InputError, WorkError
from shoal.measure import Sizes, drawn_works, sample_kernels
from shoal.record import KINDS, KernelKind, KernelSample, KernelWork


def samples(
    kind: KernelKind, count: int = 60, noise: float = 0.0, hints: Hints | None = None
) -> list[KernelSample]:
    """Times that are a sum of the first two features, the first bearing most, and a start."""
    rng = np.random.default_rng(0)
    found = []
    for work in drawn_works(kind, count, Sizes(), 3):
        values = list(features(work, hints or Hints()).values())
        seconds = 1e-9 * values[0] + 1e-10 * values[1] + 1e-6
        found.append(KernelSample(work, "a", seconds * math.exp(rng.normal(0, noise)), "simulated"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_finds_times_of_its_own_form(kind: KernelKind) -> None:
    (made,) = fit_kernels(samples(kind)).fits
    assert made.mape < 1e-6
    assert (made.samples, made.held_out, made.provenance) == (45, 15, "simulated")
    assert all(coefficient >= 0 for coefficient in made.coefficients)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_not_followed(kind: KernelKind) -> None:
    fitted = fit_kernels(samples(kind, 200, noise=0.05))
    assert fitted.fits[0].mape < 0.08
    assert mape(fitted, samples(kind, 200)) < 0.04


def test_a_hint_makes_steps_visible() -> None:
    hints = Hints(tile=64, parallel=8)
    rng = np.random.default_rng(0)
    made = [
        KernelSample(
            work, "a", 1e-12 * features(work, hints)["tiles·K"] * float(np.exp(rng.normal(0, 0.01))), "measured"
        )
        for work in drawn_works("gemm", 100, Sizes(), 1)
    ]
    assert fit_kernels(made, {"a": hints}).fits[0].mape < 0.02
    assert fit_kernels(made, most_mape=9.0).fits[0].mape > 0.1


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    fitted = fit_kernels(samples("spmm") + samples("gemm"), {"a": Hints(tile=4)})
    codec.save(fitted, tmp_path / "fits.json")
    again = codec.load(Fits, tmp_path / "fits.json")
    assert again == fitted
    work = KernelWork("spmm", 100, 10, 100, 700)
    assert again.seconds(work, "a") == fitted.seconds(work, "a") > 0


def test_what_was_not_fitted_cannot_run() -> None:
    fitted = fit_kernels(samples("gemm"))
    assert fitted.seconds(KernelWork("spmm", 10, 10, 10, 10), "a") == math.inf
    assert fitted.seconds(KernelWork("gemm", 10, 10, 10), "b") == math.inf


def test_too_few_samples() -> None:
    with pytest.raises(InputError, match=r"gemm on a: too few samples to fit .needed 30, had 29"):
        fit_kernels(samples("gemm", 29))


def test_times_that_are_no_times() -> None:
    bad = KernelSample(KernelWork("gemm", 1, 1, 1), "a", 0.0, "measured")
    with pytest.raises(InputError, match="gemm on a: a sample's time"):
        fit_kernels([*samples("gemm"), bad])


def test_a_bad_predictor_is_refused() -> None:
    rng = np.random.default_rng(1)
    wild = [KernelSample(each.work, "a", float(10 ** rng.uniform(-6, 0)), "measured") for each in samples("gemm")]
    with pytest.raises(WorkError, match=r"gemm on a: the fitted times miss what was held out .needed at most 25%"):
        fit_kernels(wild)


def test_real_kernels_are_fitted() -> None:
    """Only that it works end to end: how well is a matter of a quiet machine."""
    sizes = Sizes(rows=(64, 256), columns=(8, 32), inner=(8, 32), per_row=(2, 16), window=(4, 32))
    found = [
        sample
        for kind in KINDS
        for sample in sample_kernels("sparse", drawn_works(kind, 30, sizes), "s", repeats=2, speed=0.5)
    ]
    fitted = fit_kernels(found, most_mape=math.inf)
    assert {each.kind for each in fitted.fits} == set(KINDS)
    assert all(fitted.seconds(each.work, "s") > 0 for each in found)


def test_speed_divides_the_seconds() -> None:
    with pytest.raises(InputError, match="speed"):
        sample_kernels("dense", (), "d", speed=0.0)


def test_drawn_works_repeat_and_stay_within_their_sizes() -> None:
    sizes = Sizes(rows=(100, 200), heads=(2,))
    for kind in KINDS:
        works = drawn_works(kind, 50, sizes, 5)
        assert works == drawn_works(kind, 50, sizes, 5)
        assert all(100 <= work.rows <= 200 for work in works)
        assert all(work.columns % 2 == 0 for work in works if kind == "attention")

"""Learned rounding: never worse than the nearest values, near the best there is, on every kind of grid."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.compress import Seen, Work, compress, opened
from shoal.compress.techniques.adaround import Adaround
from shoal.compress.techniques.compensate import Compensate
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.formats import make, quantise, restored
from shoal.graph import save
from tests.compress import nets
from tests.graph.models import write

Inputs = NDArray[np.float32]
FORMATS = ("int4g32", "e2m1g32", "fp4g32", "fp4", "hlq2g32", "mxfp4", "int3", "tern2", "nvint4", "int2ag32")
TINY = ("int3", "int2a", "e2m1", "fp4", "hlq2", "tern2", "block:element=e2m1,group=10")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_never_worse_than_the_nearest_values(name: str, drift: float) -> None:
    form = make(name)
    for seed in range(2):
        weights, x, coded = seen_by(12, 64, drift, seed)
        seen = moments(x, coded)
        found = Adaround(name, steps=60).apply(Work(weights), seen, 0).coded
        assert found is not None
        nearest = quantise(form, weights, seen.importance(0))
        learned, plain = (losses(restored(form, each), weights, x, coded) for each in (found, nearest))
        assert (learned <= plain * (1 + 1e-5)).all()
        assert learned.sum() < 0.95 * plain.sum()
        low, high = form.bracket(weights, found.params)
        assert ((found.codes == low) | (found.codes == high)).all()


@pytest.mark.parametrize("name", TINY)
def test_near_the_best_of_all_choices(name: str) -> None:
    """Against all 1024 of each row: half of the rows have the best, all together are within a tenth of it."""
    form = make(name)
    best = found = 0.0
    exact = []
    for seed in range(6):
        weights, x, coded = seen_by(4, 10, 0.1, seed)
        seen = moments(x, coded)
        work = Adaround(name).apply(Work(weights), seen, 0)
        assert work.coded is not None
        own = losses(restored(form, work.coded), weights, x, coded)
        low, high = (form.decode(each, work.coded.params) for each in form.bracket(weights, work.coded.params))
        tried = (np.where(choice, high, low) for choice in itertools.product((False, True), repeat=10))
        least = np.min([losses(each, weights, x, coded) for each in tried], axis=0)
        assert (least <= own * (1 + 1e-5)).all()
        exact += list(own <= least * (1 + 1e-4))
        best, found = best + least.sum(), found + own.sum()
    assert found < 1.1 * best
    assert np.mean(exact) >= 0.5


def test_learning_finds_more_than_single_changes_do() -> None:
    gains = []
    for seed in range(6):
        weights, x, coded = seen_by(32, 64, 0.1, seed)
        seen = moments(x, coded)
        works = [Adaround("int3g32", steps=steps).apply(Work(weights), seen, 0) for steps in (0, 400)]
        plain, learned = (
            losses(restored(make("int3g32"), work.coded), weights, x, coded).sum() for work in works if work.coded
        )
        gains.append(learned / plain)
    assert np.mean(gains) < 1


def test_what_the_float_network_has_is_what_is_wanted() -> None:
    """Also of weights that were compensated before."""
    weights, x, coded = seen_by(8, 32, 0.5, 3)
    seen = moments(x, coded)
    changed = Compensate().apply(Work(weights, wanted=weights), seen, 0)
    found = Adaround("int4g32").apply(changed, seen, 0).coded
    alone = Adaround("int4g32").apply(Work(weights), seen, 0).coded
    assert found is not None
    assert alone is not None
    form = make("int4g32")
    both, one = (losses(restored(form, each), weights, x, coded).sum() for each in (found, alone))
    assert both < one


def test_a_network_loses_less(tmp_path: Path) -> None:
    """On samples that nothing was fitted to; convolutions, grouped ones too."""
    for proto, name in ((nets.mlp(depth=3), "int3g32"), (nets.mixed(), "int4")):
        graph = opened(write(proto, tmp_path))
        given, fresh = nets.samples(proto, 48), nets.samples(proto, 16, seed=1)
        plain = nets.answers(tmp_path / "small.onnx", fresh)
        errors = []
        for technique in (Rtn(name), Adaround(name, steps=200)):
            found = compress(graph, [technique], given)
            save(found.model, tmp_path / "smaller.onnx")
            errors.append(float(np.linalg.norm(nets.answers(tmp_path / "smaller.onnx", fresh) - plain)))
        assert errors[1] < 0.9 * errors[0]


def test_what_was_no_better_is_told() -> None:
    """With a rate that learns nonsense."""
    weights, x, coded = seen_by(8, 32, 0.0, 0)
    work = Adaround("int4g32", steps=5, lr=5.0).apply(Work(weights), moments(x, coded), 0)
    assert "began from the nearest values" in work.note


def test_nothing_seen_is_rounded_to_the_nearest() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    found = Adaround("int4g32", steps=0).apply(Work(weights), Seen(32), 0).coded
    assert found is not None
    np.testing.assert_array_equal(found.codes, quantise(make("int4g32"), weights).codes)
    assert Adaround("int4g32", steps=20).apply(Work(weights * 0), Seen(32), 0).coded is not None


def test_what_cannot_be_learned() -> None:
    weights = np.ones((2, 32), np.float32)
    for act, said in (
        (lambda: Adaround(steps=-1), "cannot learn so"),
        (lambda: Adaround(lr=0.0), "cannot learn so"),
        (lambda: Adaround("int4g32").apply(Work(weights), None, 0), "needs calibration samples"),
        (lambda: Adaround("int4g32+rotate").apply(Work(weights), Seen(32), 0), "cannot choose value by value"),
    ):
        with pytest.raises(InputError, match=said):
            act()


def seen_by(rows: int, columns: int, drift: float, seed: int) -> tuple[Inputs, Inputs, Inputs]:
    """Weights, correlated inputs, and the same after layers that are coded."""
    source = np.random.default_rng(seed)
    weights = source.standard_normal((rows, columns)).astype(np.float32)
    mix = source.standard_normal((columns, columns)) / np.sqrt(columns) + np.eye(columns)
    x = (source.standard_normal((300, columns)) @ mix).astype(np.float32)
    return weights, x, (x + drift * source.standard_normal(x.shape)).astype(np.float32)


def moments(x: Inputs, coded: Inputs) -> Seen:
    seen = Seen(x.shape[1])
    seen.add(x[None], coded[None])
    return seen


def losses(made: Inputs, weights: Inputs, x: Inputs, coded: Inputs) -> NDArray[np.float64]:
    """Of each row, from the samples themselves."""
    difference = coded.astype(np.float64) @ made.T - x.astype(np.float64) @ weights.T
    found: NDArray[np.float64] = (difference**2).mean(axis=0)
    return found

"""Rounding weighed by gradients: the gradients' moments, the loss of all rows, choices that are never worse."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.compress import Seen, Work, compress, layers_of, opened
from shoal.compress.techniques.adaround import Adaround, Rounding
from shoal.compress.techniques.compensate import Compensate
from shoal.compress.techniques.reconstruct import Reconstruct, together, whole
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.formats import make, restored
from shoal.graph import save
from tests.compress import nets
from tests.graph.models import write

F64 = NDArray[np.float64]


def problem(rows: int, columns: int, seed: int) -> tuple[Work, Seen]:
    """A layer whose outputs count together, and inputs that go together too."""
    source = np.random.default_rng(seed)
    mix = source.standard_normal((columns, columns)) / np.sqrt(columns) + np.eye(columns)
    x = (source.standard_normal((1, 400, columns)) @ mix).astype(np.float32)
    seen = Seen(columns)
    seen.add(x, (x + 0.1 * source.standard_normal(x.shape)).astype(np.float32))
    slopes = source.standard_normal((rows, max(1, rows // 3)))
    weights = source.standard_normal((rows, columns)).astype(np.float32)
    return Work(weights, wanted=weights, slopes=slopes @ slopes.T), seen


def rounding(work: Work, seen: Seen, name: str) -> tuple[Rounding, F64]:
    form = make(name)
    params = form.fit(work.weights, seen.importance(0))
    below, above = (form.decode(each, params) for each in form.bracket(work.weights, params))
    slopes = Reconstruct()._damped(work.slopes)
    assert slopes is not None
    return Rounding(below, above, seen.square[0], work.weights @ seen.cross[0]), slopes


@pytest.mark.parametrize("name", ["int4s", "int3g16", "e2m1g16"])
def test_never_worse_than_each_row_by_itself(name: str) -> None:
    gains = []
    for seed in range(3):
        work, seen = problem(12, 32, seed)
        form, (_, slopes) = make(name), rounding(work, seen, name)
        losses = []
        for technique in (Adaround(name, 60), Reconstruct(name, 60)):
            coded = technique.apply(work, seen, 0).coded
            assert coded is not None
            values = restored(form, coded)
            losses.append(excess(values, work, seen, slopes))
        assert losses[1] <= losses[0] * (1 + 1e-6)
        gains.append(losses[1] / losses[0])
    assert np.mean(gains) < 0.9


def excess(values: NDArray[np.float32], work: Work, seen: Seen, slopes: F64) -> float:
    """tr(G·E·A·Eᵀ) of what is stored, around the weights with the least loss."""
    best = np.linalg.solve(seen.square[0], (work.weights @ seen.cross[0]).T).T
    error = values - best
    return float(np.einsum("rs,rc,sc->", slopes, error, error @ seen.square[0]))


def test_the_loss_and_its_changes_are_those_of_all_choices() -> None:
    work, seen = problem(3, 3, 5)
    task, slopes = rounding(work, seen, "int3")
    choices = [np.array(bits).reshape(3, 3) for bits in itertools.product((False, True), repeat=9)]
    losses = [excess(task.values(each), work, seen, slopes) for each in choices]
    told = [whole(task, each, slopes) for each in choices]
    np.testing.assert_allclose(np.array(told) - told[0], np.array(losses) - losses[0], rtol=1e-6, atol=1e-9)
    found = [whole(task, together(task, each, slopes, sweeps=9), slopes) for each in choices[::37]]
    assert all(after <= told[37 * at] + 1e-9 for at, after in enumerate(found))
    assert min(found) == pytest.approx(min(told), rel=1e-6, abs=1e-9)


def test_without_gradients_rows_are_by_themselves() -> None:
    work, seen = problem(6, 16, 0)
    plain = Work(work.weights, wanted=work.weights)
    for slopes in (None, np.zeros((6, 6))):
        one = Reconstruct("int4", 20).apply(Work(plain.weights, wanted=plain.wanted, slopes=slopes), seen, 0).coded
        other = Adaround("int4", 20).apply(plain, seen, 0).coded
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.codes, other.codes)


def test_moments_of_gradients_are_those_of_the_jacobian(tmp_path: Path) -> None:
    """Of an MLP without bends, where J is a product of matrices."""
    pytest.importorskip("torch")
    from shoal.compress.slopes import output_moments

    proto = nets.mlp(width=8, depth=2, relu=False)
    graph = opened(write(proto, tmp_path))
    layers = layers_of(graph)
    found = output_moments(graph, layers, nets.samples(proto, 4), draws=400)
    last = {each.name: each for each in graph.model.graph.initializers.values()}[layers[1].weight]
    assert last.const_value is not None
    matrix = last.const_value.numpy().astype(np.float64)
    np.testing.assert_allclose(found[layers[1].op], np.eye(8), atol=0.1)
    np.testing.assert_allclose(found[layers[0].op], matrix @ matrix.T, atol=0.15 * np.abs(matrix @ matrix.T).max())


def test_a_network_answers_better(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    proto = nets.mlp(width=48, depth=3)
    graph = opened(write(proto, tmp_path))
    given, fresh = nets.samples(proto, 48), nets.samples(proto, 24, seed=1)
    plain = nets.answers(tmp_path / "small.onnx", fresh)
    errors = []
    for technique in (Rtn("int3"), Reconstruct("int3", steps=100)):
        save(compress(graph, [technique], given).model, tmp_path / "smaller.onnx")
        errors.append(float(np.linalg.norm(nets.answers(tmp_path / "smaller.onnx", fresh) - plain)))
    assert errors[1] < 0.8 * errors[0]


def test_convolutions_in_groups_have_gradients_too(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    graph = opened(write(nets.mixed(), tmp_path))
    found = compress(graph, [Compensate(), Reconstruct("int4", steps=10)], nets.samples(nets.mixed(), 8))
    assert len(found.layers) == len(layers_of(graph))


def test_what_cannot_be_weighed() -> None:
    for act, said in (
        (lambda: Reconstruct(draws=0), "cannot weigh so"),
        (lambda: Reconstruct(damp=-1.0), "cannot weigh so"),
        (lambda: Reconstruct().apply(Work(np.ones((2, 8), np.float32)), None, 0), "needs calibration samples"),
    ):
        with pytest.raises(InputError, match=said):
            act()


def test_no_inverse_without_damping() -> None:
    seen = Seen(8)
    seen.add(np.ones((1, 3, 8), np.float32), np.ones((1, 3, 8), np.float32))
    with pytest.raises(InputError, match="have no inverse") as fault:
        Compensate(damp=0.0).apply(Work(np.ones((2, 8), np.float32)), seen, 0)
    assert "damp above 0" in fault.value.hint
    assert np.isfinite(Compensate().apply(Work(np.ones((2, 8), np.float32)), seen, 0).weights).all()
    with pytest.raises(InputError, match="no damping"):
        Compensate(damp=-0.1)


def test_compensation_is_the_least_squares_solution() -> None:
    """Against least squares on the samples themselves, λ as further rows."""
    source = np.random.default_rng(0)
    x = source.standard_normal((50, 6)).astype(np.float32)
    coded = (np.rint(x * 2) / 2).astype(np.float32)
    weights = source.standard_normal((3, 6)).astype(np.float32)
    seen = Seen(6)
    seen.add(x[None], coded[None])
    found = Compensate(damp=0.1).apply(Work(weights, wanted=weights), seen, 0).weights
    strength = np.sqrt(0.1 * np.diagonal(seen.square[0]).mean() * len(x))
    rows = np.concatenate([coded, strength * np.eye(6)])
    change = np.linalg.lstsq(rows, np.concatenate([(x - coded) @ weights.T, np.zeros((6, 3))]), rcond=None)[0].T
    np.testing.assert_allclose(found, weights + change, rtol=1e-4, atol=1e-5)

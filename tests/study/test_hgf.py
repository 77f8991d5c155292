"""The study of HGF: arms that are kept, what only a correction may change, files and their bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from shoal.study._hgf_arms import FLOAT, FLOAT_DIFFERENTIAL, TERNARY, Course, corrected
from shoal.study._hgf_files import coded, exported, greedy
from shoal.study._hgf_shown import Held
from shoal.train import Recipe
from shoal.train.language import Decoder, losses, parameters, runner
from shoal.train.ternary import most_sensitive

SHAPE = Decoder(width=32, layers=1, heads=2, hidden=48, context=16)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    recipe = Recipe(steps=4, batch=4, optimiser="adamw", rate=3e-3, warmup=0.05, clip=1.0)
    return Course(SHAPE, recipe, tested=6, say=lambda _: None)


def test_what_was_trained_is_kept_and_comes_back_the_same(course: Course) -> None:
    said: list[str] = []
    counting = Course(course.decoder, course.recipe, course.tested, said.append)
    first, again, other = (counting.trained(TERNARY, seed) for seed in (0, 0, 1))
    assert len(said) == 2
    assert first.held == again.held != other.held
    assert len(first.losses) == 4
    for name, each in parameters(first.model).items():
        np.testing.assert_array_equal(each, parameters(again.model)[name])


def test_all_begin_with_the_same_weights(course: Course) -> None:
    from shoal.study._hgf_arms import built

    plain, *others = (
        parameters(built(arm, SHAPE, 0)) for arm in (FLOAT, TERNARY, corrected(2), FLOAT_DIFFERENTIAL)
    )
    for other in others:
        for name, each in plain.items():
            np.testing.assert_array_equal(each, other[name])


def test_a_correction_trained_afterwards_leaves_the_rest_alone(course: Course) -> None:
    plain, after = (parameters(course.trained(arm, 0).model) for arm in (TERNARY, corrected(2, after=True)))
    for name, each in plain.items():
        np.testing.assert_array_equal(each, after[name])
    assert np.abs(after["layers.0.mlp.up_proj.side_out"]).max() > 0


def test_a_float_file_has_the_norms_of_its_layers(course: Course, tmp_path: Path) -> None:
    trained = course.trained(FLOAT, 0)
    wanted = runner(trained.model)(course.held.x)
    found = exported(trained, 16, tmp_path / "plain").opened()(course.held.x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("gate", ["scalar", "input"])
def test_a_file_answers_as_torch_does_and_is_as_large_as_it_says(course: Course, gate: str, tmp_path: Path) -> None:
    ternary, hybrid = course.trained(TERNARY, 0), course.trained(corrected(2, gate), 0)
    files = [exported(each, 16, tmp_path / each.arm.name) for each in (ternary, hybrid)]
    run, symbols = files[1].opened(), course.held.x
    wanted = runner(hybrid.model)(symbols)
    assert np.linalg.norm(run(symbols) - wanted) < 1e-2 * np.linalg.norm(wanted)
    assert float(losses(run, course.held).mean()) == pytest.approx(hybrid.held, rel=1e-2)
    sizes = [(outputs, inputs) for _, outputs, inputs in SHAPE.products()]
    added = files[1].layers_bytes - files[0].layers_bytes
    gates = sum(2 * inputs + 4 + 4 for _, inputs in sizes) + 16 if gate == "input" else 0
    assert 0 <= added - sum(2 * 2 * (outputs + inputs) for outputs, inputs in sizes) <= gates
    assert files[0].layers_bytes == sum(-(-outputs * inputs // 5) + 2 for outputs, inputs in sizes) + 2 * 4
    start = symbols[0, :5]
    assert greedy(run, start, 4, 16) == greedy(runner(hybrid.model), start, 4, 16)


def test_few_bits_after_training(course: Course, tmp_path: Path) -> None:
    plain = exported(course.trained(FLOAT, 0), 16, tmp_path / "plain")
    found = coded(plain, "int3g16", course.held.x, tmp_path / "int3")
    assert found.layers_bytes < plain.layers_bytes / 6
    assert np.isfinite(losses(found.opened(), course.held)).all()


def test_half_of_the_layers_are_named(course: Course) -> None:
    chosen = most_sensitive(course.trained(TERNARY, 0).model, course.held.x)
    names = [name for name, *_ in SHAPE.products()]
    assert len(set(chosen)) == round(len(names) / 2)
    assert set(chosen) <= set(names)


def test_the_share_of_a_gap() -> None:
    held = Held(plain=1.0, ternary=2.0, hybrid=1.25)
    assert held.share == 75
    assert held.recovered(2.5) == -50
    assert Held(2.0, 1.0, 1.5).share == 0

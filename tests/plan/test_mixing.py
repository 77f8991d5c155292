"""Formats and plans chosen together: the programme against all mixes, the error that is kept, and what it is for."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, LimitError
from shoal.fleet import Fleet
from shoal.plan import Wishes
from shoal.plan.mixing import Mixing, _cheapest
from tests.compress import nets
from tests.graph.models import write
from tests.plan.toys import device, fleet

MACHINES = fleet(
    device("a", 10, engines=("onnxruntime", "native")), device("b", 20, engines=("onnxruntime", "native"))
)


def question(folder: Path, most_error: float, formats: tuple[str, ...], machines: Fleet = MACHINES) -> Mixing:
    proto = nets.mlp(64, 4)
    path = write(proto, folder)
    return Mixing(path, machines, Wishes(), nets.samples(proto), most_error, formats)


@pytest.mark.parametrize("seed", range(5))
def test_the_programme_finds_the_best_of_all_mixes(seed: int) -> None:
    source = np.random.default_rng(seed)
    layers, names = [f"l{index}" for index in range(5)], ("x", "y", "z")
    losses = {op: dict(zip(names, source.random(3), strict=True)) for op in layers}
    seconds = {
        name: {op: {"u": float(source.random()), "v": float(source.random())} for op in layers} for name in names
    }
    units = {op: "uv"[index % 2] for index, op in enumerate(layers)}
    budget = float(np.median([sum(each) for each in product(*(list(losses[op].values()) for op in layers))]))

    def cost(mix: dict[str, str]) -> float:
        return sum(seconds[name][op][units[op]] for op, name in mix.items())

    every = [dict(zip(layers, chosen, strict=True)) for chosen in product(names, repeat=5)]
    within = [mix for mix in every if sum(losses[op][name] for op, name in mix.items()) <= budget]
    assert cost(_cheapest(losses, seconds, units, budget)) == pytest.approx(min(map(cost, within)))


@pytest.mark.parametrize("most_error", [0.02, 0.08, 0.5])
def test_answers_stay_within_the_error(most_error: float, tmp_path: Path) -> None:
    found = question(tmp_path, most_error, ("int4g32", "int8g32", "float32")).solve(tmp_path / "out")
    assert found.error <= most_error
    assert set(found.formats) == {"a0", "a1", "a2", "a3"} or len(found.formats) == 4
    assert found.front.plan.model.path == str(found.model)
    given = nets.samples(nets.mlp(64, 4))
    plain, coded = nets.answers(tmp_path / "small.onnx", given), nets.answers(found.model, given)
    assert np.linalg.norm(coded - plain) / np.linalg.norm(plain) == pytest.approx(found.error, rel=0.05, abs=1e-6)


def test_an_error_nothing_keeps_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"no mix .* below the error .*needed 0\.001%, had"):
        question(tmp_path, 1e-5, ("int4g32", "int8g32")).solve(tmp_path / "out")


def test_an_error_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no error to stay below"):
        question(tmp_path, 0.0, ("int8g32",)).solve(tmp_path / "out")

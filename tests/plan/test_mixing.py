"""Formats and plans chosen together: the programme against all mixes, the error that is kept, and what it is for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, LimitError, PlanError
from shoal.fleet import Fleet, MacArray
from shoal.plan import Objective, Wishes
from shoal.plan.mixing import Mixing, _cheapest, _possible
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


def simulated(multiplier: str = "") -> Fleet:
    """One device: a slow array of 16 × 16 multipliers beside a slow unit for all else."""
    one = device("sim", 0.5)
    array = replace(one.units[0], macs=MacArray(16, 16, 2e5, multiplier=multiplier), memory_bytes_per_s=1e9)
    return fleet(replace(one, units=(array,)))


@pytest.mark.parametrize("goal", ["latency", "energy"])
def test_formats_are_chosen_by_what_a_simulated_array_takes(goal: str, tmp_path: Path) -> None:
    """With room for errors the narrowest format is quickest and most sparing; with none, the widest that it multiplies."""
    wishes = Wishes(objective=Objective((goal,)))
    found = {}
    for most_error in (0.9, 0.02):
        asked = replace(
            question(tmp_path, most_error, ("tern2g32", "int4g32", "int8g32"), simulated()), wishes=wishes
        )
        found[most_error] = asked.solve(tmp_path / f"out{most_error}")
        assert found[most_error].error <= most_error
    assert set(found[0.9].formats.values()) == {"tern2g32"}
    assert set(found[0.02].formats.values()) <= {"int4g32", "int8g32"}
    loose, tight = (each.front.plan.prediction for each in found.values())
    assert loose.latency_s < tight.latency_s
    assert loose.energy_j["sim"] < tight.energy_j["sim"]
    assert {each.provenance for each in found[0.9].front.plan.estimates.values()} == {"simulated"}


def test_quick_weights_are_chosen_on_a_fixed_array(multiplier: str, tmp_path: Path) -> None:
    """Silicon of one multiplier: numbers of a codebook are clocked faster than all eight bits, so they are taken."""
    asked = replace(question(tmp_path, 0.5, ("pow2", "int8"), simulated(multiplier)), measure=False)
    assert set(asked.solve(tmp_path / "out").formats.values()) == {"pow2"}


def test_a_layer_that_runs_in_none_of_the_formats_is_named() -> None:
    losses, spent = {"m0": {"tern2": 0.1}}, {"tern2": {"m0": {"npu": float("inf")}}}
    with pytest.raises(PlanError, match=r"layer 'm0' runs in none of the formats on 'npu' .*had tern2") as caught:
        _possible(losses, spent, {"m0": "npu"})
    assert caught.value.hint == "add int8 or float32 to --formats, or --pin it elsewhere"

"""The study of HyAtten: chips of equal area, and what must be so of them whatever the text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper
from onnxruntime import InferenceSession

from shoal.machines.accelerators import Call, Operand, calls
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from shoal.study import Bench, Chart, Finding, Table
from shoal.study._digits import digits
from shoal.study._digits_transformer import transformer
from shoal.study._hyatten_area import Attention, fitted
from shoal.study._hyatten_checks import coincide, refusals, shapes
from shoal.study._hyatten_lit import Vision, vision
from shoal.study._hyatten_network import together
from shoal.study._hyatten_noise import noise
from shoal.study._hyatten_shown import Chips
from tests.contracts.test_engines import load
from tests.engines.segments import Case

MACHINE = PhotonicAttention()
AREA_MM2 = 60.0


@pytest.fixture(scope="module")
def work() -> Attention:
    """Queries by keys of eight heads, drawn."""
    source = np.random.default_rng(0)
    shapes = {"q": (1, 8, 48, 36), "k": (1, 8, 36, 48)}
    inputs = tuple(Operand(name, "float32", shape) for name, shape in shapes.items())
    call = Call("scores", "MatMul", inputs, (Operand("scores", "float32", (1, 8, 48, 48)),))
    drawn = [tuple(source.standard_normal(shape).astype(np.float32) for shape in shapes.values()) for _ in range(2)]
    return Attention({"scores": call}, {"scores": drawn}, AREA_MM2)  # type: ignore[dict-item]  # pairs


def test_a_chip_holds_as_many_cores_as_its_area(work: Attention) -> None:
    made = fitted(MACHINE, AREA_MM2)
    assert made.area_mm2 <= AREA_MM2 < replace(made, cores=made.cores + 1).area_mm2


def test_without_a_split_equal_areas_are_equal_chips(work: Attention) -> None:
    whole = replace(MACHINE, low_bits=8)
    highs = work.highs(whole)
    assert not any(each.any() for each in highs)
    for other in (replace(whole, macs=3000), replace(whole, queue_entries=7)):
        assert work.spent(other, highs).gains(work.spent(whole, highs)) == (1, 1)


def test_more_large_results_are_never_better(work: Attention) -> None:
    whole = replace(MACHINE, low_bits=8)
    base = work.spent(whole, work.drawn(whole, 0.0, 0))
    gains = [work.spent(MACHINE, work.drawn(MACHINE, share, 0)).gains(base) for share in (0.0, 0.1, 0.5, 1.0)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0][1] > 1 > gains[-1][1]
    assert gains[-1][0] < 0.5


def test_all_figures_of_chips_are_there(work: Attention) -> None:
    chips = Chips(work, MACHINE, (64, 1024), 0)
    shown: list[Any] = [*chips.headline(), *chips.pareto((4, 8), (12,))]
    found = {each.key: each.obtained for each in shown if isinstance(each, Finding)}
    assert found.keys() == {"perf", "efficiency", "digital_perf", "digital_efficiency", "tops_w", "all_large", "best_perf",
                            "best_efficiency"}  # fmt: skip
    assert found["best_perf"] >= max(1, found["perf"]) > found["all_large"]
    rows = {row[0]: row for row in next(each for each in chips.sensitivity() if isinstance(each, Table)).rows}
    assert rows["as it is"][2:] == (found["perf"], found["efficiency"])
    assert rows["0 % of results large, drawn"][2] >= rows["100 % of results large, drawn"][2]  # type: ignore[operator]  # figures


def test_curves_are_the_rows_of_the_table(work: Attention) -> None:
    shown = list(Chips(work, MACHINE, (64, 1024), 0).sensitivity())
    rows = {row[0]: row for each in shown if isinstance(each, Table) for row in each.rows}
    exponents, large, macs = (each for each in shown if isinstance(each, Chart))
    area = exponents.series[0]
    assert [rows[f"converters: area by 2^({at:g} bits)"][2] for at in area.x] == list(area.y)  # type: ignore[str-format]  # figures
    assert large.series[0].y[-1] == rows["100 % of results large, drawn"][2]
    assert list(macs.series[1].y) == [rows["64 multipliers"][3], rows["1024 multipliers"][3]]
    assert area.y == tuple(sorted(area.y))  # type: ignore[type-var]  # figures


def test_what_is_known_beforehand() -> None:
    found = {each.key: each.obtained for each in shapes(MACHINE, 0)}
    assert found["bell"] == pytest.approx(94, abs=2)
    assert found["uniform"] == pytest.approx(43, abs=2)
    assert coincide(MACHINE).obtained is True
    assert refusals().obtained is True


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Vision:
    """Of a transformer that has hardly learned."""
    return vision(tmp_path_factory.mktemp("digits") / "a.onnx", *digits(0, 8), epochs=1, seed=0)


def test_a_transformer_on_a_machine_without_error_is_that_in_float32(seen: Vision) -> None:
    exact = seen.network.exact()
    fine = PhotonicAttention(operand_bits=16, low_bits=24, high_bits=24)
    np.testing.assert_allclose(seen.network.lit(fine, every=True)[0], exact, atol=2e-3)
    coarse = seen.network.lit(replace(MACHINE, low_bits=3, high_bits=3))[0]
    assert np.abs(coarse - exact).max() > 0.05
    (expected,) = InferenceSession(ir.to_proto(seen.network.graph.model).SerializeToString()).run(
        ["y"], dict(seen.network.samples[0])
    )
    np.testing.assert_allclose(exact, expected, atol=1e-4)


def test_large_results_are_counted_by_head(seen: Vision) -> None:
    """Against the machine, given one head and zeros: the first layer, whose operands nothing has disturbed yet."""
    (left, right), call = seen.network.operands()["layer0.scores"][0], seen.network.calls["layer0.scores"]
    tally = seen.network.lit(MACHINE)[1]["layer0.scores"]
    assert tally.large.shape == (2,)
    assert tally.results * 2 == MACHINE.results(MACHINE.compiled(call))
    task = MACHINE.compiled(call)
    data = {"layer0.query.turned": left, "layer0.key.turned": right}
    for head in range(2):
        mask = np.arange(2)[:, None, None] == head
        alone = MACHINE.sums(task, {name: each * mask for name, each in data.items()})
        assert alone.highs.sum() == tally.large[head]
    assert tally.heads_percent.mean() == pytest.approx(tally.small_percent) == together([tally])


def test_the_same_seed_trains_the_same_transformer(tmp_path: Path) -> None:
    train, _ = digits(0, 1)
    files = [
        transformer(tmp_path / f"{at}.onnx", train, 1, 1, blocks=1, seed=seed) for at, seed in enumerate((0, 0, 1))
    ]
    same, again, other = (each.read_bytes() for each in files)
    assert same == again != other


def test_noise_that_is_nothing_changes_nothing(seen: Vision) -> None:
    curves = next(each for each in noise(seen.network, seen, MACHINE, (0.0, 1.0)) if isinstance(each, Chart))
    none = {each.name: each.y[0] for each in curves.series}
    quiet = replace(MACHINE, encoding_noise=0.0, additive_noise=0.0)
    assert none["split at 4 bits"] == seen.right_percent(seen.network.lit(quiet)[0])
    assert (
        none["split at 4 bits"] == none["split, noise of encoding alone"] == none["split, noise of receivers alone"]
    )


def test_a_plan_on_the_board_takes_what_the_machine_takes_and_its_engine_gives_its_values(tmp_path: Path) -> None:
    """Queries by keys, on the card alone."""
    case = Case("a", (helper.make_node("MatMul", ["q", "k"], ["scores"]),), {"q": (24, 36), "k": (36, 24)},
                {"scores": (24, 24)}, {}, {})  # fmt: skip
    onnx.save(case.model(), tmp_path / "a.onnx")
    bench = Bench(tmp_path, 0, lambda _: None)
    network = bench.load(tmp_path / "a.onnx")
    (task,) = (MACHINE.compiled(call) for call in calls(network.graph.model))
    fleet = bench.fleet('[devices.card]\nboard = "photonic-attention"\n')
    plan = bench.front(network, fleet, "latency", profile=False).plan
    assert plan.prediction.period_s == pytest.approx(MACHINE.run(task).seconds)
    source = np.random.default_rng(0)
    data = {name: source.standard_normal(shape).astype(np.float32) for name, shape in case.inputs.items()}
    session = load(case, "simulated:machine=photonic_attention", tmp_path)
    np.testing.assert_array_equal(session.run(data, {})["scores"], MACHINE.run(task, data).outputs["scores"])

"""The parts of the study of D²MoE: proofs that can fail, runs that meet the same text, simulated shapes by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.compress.nested import MOST, PLANES
from shoal.llm.offload.nested_records import Copies, Planes, write_copies, write_planes
from shoal.store import Key, RoutingTrace, TierFigures
from shoal.study import _d2moe_bound as bounds
from shoal.study import _d2moe_shapes as shapes
from shoal.study._d2moe_lab import Lab, lab, loss_nats
from shoal.study._d2moe_loss import losses, routed
from shoal.study._d2moe_memory import saved
from shoal.study._d2moe_proof import proven, refusals
from shoal.study._d2moe_runs import ENGINES, HEBF, Engine, Runner, by_class, fixed, foretold, residents

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return lab("mixtral", 2, 3, tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def runner(made: Lab) -> Runner:
    return Runner(made, made.held[:, :5], int(0.5 * made.int8_bytes()), np.inf)


def test_the_proof_holds_and_another_file_fails_it(made: Lab, tmp_path: Path) -> None:
    found = proven(made, 4)
    assert found.nested
    assert found.bytes
    assert found.cases == 4 * 2 * PLANES
    other = replace(made, folder=tmp_path)
    shifted = {Key(key.layer, (key.part + 1) % 8): each for key, each in made.experts.items()}
    write_planes(shifted, other.planes().with_name("shifted"))
    other.planes().with_name("shifted").replace(other.planes())
    assert not proven(other, 1).nested


def test_every_fault_is_told(made: Lab) -> None:
    found = refusals(made)
    assert len(found) == 5
    assert "missing" in found[0]
    assert "cut short" in found[1]


def test_losses_are_of_one_file_and_the_model_stays(made: Lab) -> None:
    before = loss_nats(made.model, made.held)
    found = losses(made)
    assert found.plain == before == loss_nats(made.model, made.held)
    assert abs(found.nested[MOST] / found.plain - 1) < 0.01
    assert found.nested[2] > found.nested[4]
    assert found.truncated[2] > found.nested[2]
    rows = routed(made, 1, 3)
    assert [each.router for each in rows] == ["by weight", "by head"] * 2
    assert loss_nats(made.model, made.held) == before


def test_engines_differ_in_bytes_and_not_in_text(runner: Runner) -> None:
    runs = {each.name: runner.ran(each) for each in ENGINES if each.bits == "routed"}
    assert len({each.loss for each in runs.values()}) == 1
    assert len({each.mean_bits for each in runs.values()}) == 1
    for each in runs.values():
        assert each.told.peak_bytes <= runner.budget_bytes
    eight = runner.ran(ENGINES[0])
    assert eight.told.read_bytes > runs[HEBF].told.read_bytes
    assert np.mean(eight.by_request) == pytest.approx(eight.loss)


def test_static_bits_have_the_mean_wanted(made: Lab) -> None:
    met = made.learned.loads() > 0
    for mean_bits in (3.5, 5.0):
        found = fixed(made, mean_bits, rows=1).table[met].mean()
        assert mean_bits - 2 / met.sum() <= found <= mean_bits


def test_classes_take_turns_over_the_same_text(runner: Runner) -> None:
    found = by_class(runner, ("high", "normal", "low"), 3)
    assert found.losses.keys() == found.own.keys() == {"high", "normal", "low"}
    for each_class in (found.losses, found.own):
        mean = sum(each_class.values()) / 3
        assert all(abs(each - mean) < 0.2 for each in each_class.values())
    assert found.own["high"] < found.own["low"]


def test_residents_hold_what_is_asked_and_no_more(runner: Runner) -> None:
    found = {each.name: each.bytes for each in residents(runner)}
    assert found["INT8"] <= runner.made.int8_bytes()
    assert found["nested, 2 bits"] < found["nested, 4 bits"] < found["INT8"] < found["nested, 8 bits"]


@pytest.mark.serial
def test_a_record_foretells_another_rate(made: Lab) -> None:
    runner = Runner(made, made.held[:, :9], int(0.5 * made.int8_bytes()), 2e7)
    for each in foretold(runner, [1e7]):
        assert 0.7 < each.said / each.obtained < 1.4


def test_random_layers_have_what_orders_differ_in() -> None:
    found = bounds.bound(60, 1)
    assert max(found.johnson) == pytest.approx(1)
    assert 1 < max(found.hottest) <= 2
    assert 1 < max(found.per_byte) <= 2


SMALL = shapes.Shape("small", 2, 4, 1, 256, 512)
DEVICE = shapes.Device(1e9, 1e12, TierFigures("flash", 1e6))


def test_bytes_of_shapes_are_those_of_files(made: Lab) -> None:
    shape = shapes.Shape("mixtral", 4, 8, 2, 128, 64)
    assert shapes.sizes_of(shape, Planes()) == {
        each.key: each.bytes for each in write_planes(made.experts, made.folder / "a").records
    }
    assert shapes.sizes_of(shape, Copies()) == {
        each.key: each.bytes for each in write_copies(made.experts, made.folder / "b").records
    }


def test_a_simulated_layer_by_hand() -> None:
    """One step, two layers, one request: nothing is there, nothing overlaps."""
    chosen, unknown = np.array([[[[1]], [[2]]]]), np.full((1, 2, 1, 1), -1)
    ones = np.ones((1, 2, 1), np.float32)
    limits = RoutingTrace(
        4, chosen[:, :, 0].astype(np.int16), ones, unknown[:, :, 0].astype(np.int16), np.zeros(1, np.int32)
    )
    given = shapes.Routes(chosen, ones[..., None], unknown, limits)
    for bits in (8, 4):
        size = shapes.copy_bytes(SMALL, bits)
        rate, bubbles = shapes.simulated(SMALL, given, Engine("x", str(bits)), DEVICE, 1 << 24)
        assert bubbles == pytest.approx(2 * size / 1e6)
        assert 1 / rate == pytest.approx(bubbles + 2 * (SMALL.weights * bits / 8 / 1e9 + 8 * 256**2 / 1e9))


def test_routes_of_a_wider_shape_are_of_all_layers(made: Lab) -> None:
    shape = shapes.Shape("wide", 3, 32, 8, 64, 64)
    found = shapes.routes(shape, made.learned, 128, 2, 5)
    assert found.chosen.shape == (5, 3, 2, 8)
    for each in range(4):
        part = found.chosen[..., 2 * each : 2 * each + 2]
        assert part.min() >= 8 * each
        assert part.max() < 8 * each + 8
    assert (found.chosen[2, 1, 1] % 8 == made.learned.chosen[128 + 2][[1, 2, 3, 0]].ravel()).all()


def test_memory_is_seen_from_outside(tmp_path: Path) -> None:
    found = saved(tmp_path, 4, 512)
    assert found.held_bytes <= found.int8_held_bytes / 2
    assert found.share > 0.5

"""HALO: tiles and sparse weights make the layer exactly, levels keep a time at the least loss, clocks are legal."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal import catalog, formats
from shoal.compress import Seen, compress, opened
from shoal.compress.contract import Work
from shoal.compress.halo import Cut, Prospect, assign, codebooks, format_name, halo, loads, plan, prospect, subject
from shoal.compress.halo_check import too_slow
from shoal.compress.halo_tiles import Tiled, books, pack, parts, unpack
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.halo import Halo
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError, LimitError
from shoal.graph import coded_products, load, save, whole_numbers
from shoal.machines.arrays import Passed, Systolic, pace_of
from shoal.machines.multipliers import Bound, Clocks, MacTable, Multiplier, clocks
from shoal.machines.multipliers._simulate import slowest_path
from tests.compress import nets
from tests.graph.models import write

SHAPE = (20, 44)  # of tiles of 16: 2 × 3, smaller at the ends


@pytest.fixture(scope="module")
def table() -> MacTable:
    """Of booth_ks, by its static bounds."""
    one: Multiplier = catalog.make("machines/multipliers", "booth_ks")
    circuits = [one.circuit(weight) for weight in one.weights]
    bounds = np.array([slowest_path(each) for each in circuits])
    return MacTable("booth_ks", np.array(one.weights, np.int16), bounds, bounds,
                    np.array([1.0 + len(each.gates) for each in circuits]))  # fmt: skip


@pytest.fixture(scope="module")
def levels(table: MacTable) -> Clocks:
    return clocks(table, (Bound(12.1), Bound(15.3)))


def weights(seed: int = 0, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def seen(columns: int = SHAPE[1], seed: int = 1) -> Seen:
    """Correlated inputs, as activations are."""
    source = np.random.default_rng(seed)
    x = source.standard_normal((400, columns)) @ (
        np.eye(columns) + 0.3 * source.standard_normal((columns, columns))
    )
    found = Seen(columns)
    found.add(x.astype(np.float32)[None], x.astype(np.float32)[None])
    return found


def tiled(levels: Clocks, cut: Cut | None = None, which: tuple[int, ...] = (0, 1, 2, 2, 1, 0)) -> Tiled:
    return halo(subject("layer", weights(), seen()), which, codebooks(levels), cut or Cut(16, 0.02))


def test_tiles_and_sparse_weights_make_the_layer(levels: Clocks) -> None:
    found = tiled(levels)
    again = unpack(pack(found), found.shape, found.side, found.books)
    np.testing.assert_array_equal(again.matrix, found.matrix)
    np.testing.assert_array_equal(again.dense + again.sparse.matrix(SHAPE[1]), found.matrix)
    assert not again.dense[again.sparse.matrix(SHAPE[1]) != 0].any()
    assert found.sparse.count == sum(round(0.02 * weights()[part].size) for _, part in parts(SHAPE, 16))
    assert found.stored_bits == 8 * sum(each.size for each in pack(found).values())
    x = weights(5, (7, SHAPE[1]))
    apart = x @ found.dense.T + found.sparse.times(x)
    np.testing.assert_allclose(apart, x @ found.matrix.T, atol=1e-4)


def test_every_tile_holds_weights_of_its_level(levels: Clocks) -> None:
    found = tiled(levels)
    for place in found.tiles:
        assert set(np.unique(found.numbers(place)).tolist()) <= set(levels.levels[int(found.levels[place])].weights)


def test_the_layer_is_near_what_it_was(levels: Clocks) -> None:
    """The more weights a level takes, the nearer; passing errors on brings the outputs nearer than rounding alone."""
    view, own = seen(), weights()
    lost = [view.energy(tiled(levels, which=(level,) * 6).matrix - own, 0) for level in range(3)]
    assert lost[0] < lost[2] < lost[1] < 0.03 * view.energy(own, 0)


def test_weights_in_full_make_it_better(levels: Clocks) -> None:
    view, own = seen(), weights()
    own[3, 5] = own[18, 40] = 300.0
    layer = subject("layer", own, view)
    without, beside = (
        view.energy((halo(layer, (1,) * 6, codebooks(levels), Cut(16, full)).matrix - own)[[3, 18]], 0)
        for full in (0.0, 0.01)
    )
    assert beside < 0.7 * without


def test_a_tile_larger_than_the_layer_is_cut(levels: Clocks) -> None:
    found = halo(subject("layer", weights(), seen()), (1,), codebooks(levels), Cut(1000, 0.02))
    assert found.numbers((0, 0)).shape == SHAPE
    again = unpack(pack(found), SHAPE, 1000, found.books)
    np.testing.assert_array_equal(again.matrix, found.matrix)


def test_rounding_with_feedback_works_in_any_codebook(levels: Clocks) -> None:
    """`gptq` as it is, in a format made of a level's weights: on the grid, and better than rounding."""
    name = format_name(levels.levels[1].weights)
    view, own, form = seen(), weights(), formats.make(name)
    found = [technique.apply(Work(own), view, 0).coded for technique in (Rtn(name), Gptq(name))]
    lost = []
    for each in found:
        assert each is not None
        made = formats.restored(form, each)
        steps = made / each.params["scales"]
        assert set(np.rint(steps).astype(int).reshape(-1).tolist()) <= set(levels.levels[1].weights)
        lost.append(view.energy(made - own, 0))
    assert lost[1] < 0.9 * lost[0]


def test_a_plan_is_legal_until_a_weight_is_too_slow(levels: Clocks) -> None:
    found = tiled(levels)
    packed = pack(found)
    assert too_slow(packed, SHAPE, 16, found.books, levels) == ()
    slow = {**packed, "levels": np.zeros_like(packed["levels"])}
    with pytest.raises(InputError):  # the codes are not of the base level
        too_slow(slow, SHAPE, 16, found.books, levels)
    faster = clocks(levels.table, (Bound(12.1), Bound(12.1)))  # the last level clocked as the one before
    wrong = too_slow(packed, SHAPE, 16, found.books, faster)
    assert {each.tile for each in wrong} == {(0, 2), (1, 0)}
    assert all(each.delay > each.allowed for each in wrong)


def test_bytes_that_are_not_of_the_matrix(levels: Clocks) -> None:
    found = tiled(levels)
    packed = pack(found)
    for name, stream in {
        "levels": packed["levels"][1:],
        "0.0.codes": packed["0.0.codes"][1:],
        "full.columns": packed["full.columns"][2:],
        "full.counts": packed["full.counts"][2:],
    }.items():
        with pytest.raises(InputError):
            unpack({**packed, name: stream}, SHAPE, 16, found.books)


ARRAY = Systolic(16, 16, clock_hz=1e6, side_lanes=64)


def test_losses_follow_sensitivity_and_error(levels: Clocks) -> None:
    gradients, cut = np.full(SHAPE, 1.0, np.float32), Cut(16, 0.0)
    gradients[:16, :16] = 10.0
    own, plain = (
        prospect(subject("layer", weights(), seen(), each), levels, ARRAY, 100, cut)
        for each in (gradients, np.ones(SHAPE, np.float32))
    )
    assert own.lost.shape == own.seconds.shape == own.joules.shape == (6, 3)
    assert (own.lost[:, 0] < own.lost[:, 2]).all()
    assert (own.lost[:, 2] < own.lost[:, 1]).all()
    np.testing.assert_allclose(own.lost[0], 10 * plain.lost[0])
    np.testing.assert_allclose(own.lost[1:], plain.lost[1:])
    assert (own.joules[:, 1] < own.joules[:, 2]).all()
    assert (own.joules[:, 2] < own.joules[:, 0]).all()


def test_the_programme_finds_the_least_loss() -> None:
    """Against every assignment of five tiles, with and without the price of a switch."""
    source = np.random.default_rng(2)
    loss = [source.random((3, 2)), source.random((2, 2))]
    joules = [source.random((3, 2)), source.random((2, 2))]
    seconds = [np.sort(source.random((3, 2)))[:, ::-1], np.sort(source.random((2, 2)))[:, ::-1]]
    budget = 0.8 * sum(float(each[:, 0].sum()) for each in seconds)
    layers = [Prospect(*each) for each in zip(loss, seconds, joules, strict=True)]
    for switch_s, budget_j in ((0.0, np.inf), (0.1, np.inf), (0.1, 2.3)):
        best = np.inf
        for chosen in product(range(2), repeat=5):
            split = chosen[:3], chosen[3:]
            time_s = sum(
                sum(each[tile, level] for tile, level in enumerate(some)) + switch_s * (len(set(some)) - 1)
                for each, some in zip(seconds, split, strict=True)
            )
            energy_j = sum(each[tile, level] for each, some in zip(joules, split, strict=True)
                           for tile, level in enumerate(some))  # fmt: skip
            if time_s <= budget and energy_j <= budget_j:
                best = min(best, sum(each[tile, level] for each, some in zip(loss, split, strict=True)
                                     for tile, level in enumerate(some)))  # fmt: skip
        found = assign(layers, budget, budget_j, switch_s)
        total = sum(
            each[tile, level] for each, some in zip(loss, found, strict=True) for tile, level in enumerate(some)
        )
        assert total == pytest.approx(best)


def test_a_time_and_an_energy_that_no_plan_keeps(levels: Clocks) -> None:
    one = prospect(subject("layer", weights(), seen()), levels, Systolic(16, 16), 1000, Cut(16))
    least_s, least_j = (float(each.min(axis=1).sum()) for each in (one.seconds, one.joules))
    with pytest.raises(LimitError, match="do not take so little"):
        assign([one], least_s * 0.99)
    with pytest.raises(LimitError, match="do not take so little"):
        assign([one], 1.0, least_j * 0.99)
    assert assign([one], least_s * 1.0001) == [[1] * 6]


def test_a_plan_keeps_time_and_energy_with_filling_and_switches(levels: Clocks) -> None:
    cut, forms = Cut(16, 0.02), codebooks(levels)
    layers = [subject("layer", weights(seed), seen(), weights(seed + 9) ** 2) for seed in range(3)]
    prospects = [prospect(each, levels, ARRAY, 500, cut) for each in layers]

    def took(which: list[list[int]]) -> Passed:
        done = [halo(layer, own, forms, cut) for layer, own in zip(layers, which, strict=True)]
        return ARRAY.passed([loads(each, levels) for each in done], 500)

    slow, lost = took([[0] * 6] * 3), []
    for gain in (1.0, 1.2, 1.4):
        found = plan(prospects, ARRAY, 500, slow.seconds / gain, slow.joules)
        assert took(found).seconds <= slow.seconds / gain * (1 + 1e-9)
        lost.append(
            sum(float(each.lost[np.arange(6), own].sum()) for each, own in zip(prospects, found, strict=True))
        )
    assert lost == sorted(lost)
    assert lost[0] < lost[-1]
    spare = plan(prospects, ARRAY, 500, slow.seconds, slow.joules * 0.9)
    assert took(spare).joules <= slow.joules * 0.92  # what is coded in the end differs a little
    with pytest.raises(LimitError):
        plan(prospects, ARRAY, 500, slow.seconds / 2)


def test_what_the_array_is_asked_for(levels: Clocks) -> None:
    found = tiled(levels)
    asked = loads(found, levels)
    assert sum(each.inputs * each.outputs for each in asked) == SHAPE[0] * SHAPE[1]
    assert sum(each.beside for each in asked) == found.sparse.count
    assert [each.level for each in asked] == [0, 1, 2, 2, 1, 0]
    assert asked[1].clock == levels.levels[1].clock
    assert asked[1].effort < asked[2].effort < asked[0].effort
    mean = levels.table.energy[levels.table.place(found.numbers((0, 1)))].mean() / levels.table.energy.mean()
    assert asked[1].effort == pytest.approx(float(mean))


def test_what_is_refused(levels: Clocks) -> None:
    dead = Seen(SHAPE[1])
    forms = codebooks(levels)
    with pytest.raises(InputError, match="layer: the activations are zero"):
        subject("layer", weights(), dead)
    with pytest.raises(InputError, match="gradients of another shape"):
        subject("layer", weights(), seen(), np.ones((2, 2), np.float32))
    with pytest.raises(InputError, match="gradients are zero"):
        subject("layer", weights(), seen(), np.zeros(SHAPE, np.float32))
    with pytest.raises(InputError, match="tiles need a side"):
        halo(subject("layer", weights(), seen()), (0,), forms, Cut(0))
    with pytest.raises(InputError, match="no share"):
        halo(subject("layer", weights(), seen()), (0,) * 6, forms, Cut(16, 1.0))
    with pytest.raises(InputError, match="no levels"):
        books([])
    with pytest.raises(InputError, match="lack zero"):
        books([[-1, 1]])


def test_the_technique_codes_with_quick_weights_and_tells_the_clocks(multiplier: str, tmp_path: Path) -> None:
    """Tiles hold powers of two alone: clocked faster than with all weights, or at a lower voltage."""
    proto = nets.mlp()
    found = compress(opened(write(proto, tmp_path)), [Halo(side=32)], nets.samples(proto))
    told = re.compile(
        r"4 tiles on booth_ks_sm: clock × 1\.37, or 0\.\d\d V in place of 0\.9 V; energy of a product × 0\.\d\d"
    )
    for layer in found.layers:
        assert layer.format == "pow2"
        assert told.search(layer.note), layer.note
    save(found.model, tmp_path / "coded.onnx")
    graph = load(tmp_path / "coded.onnx")
    for product_ in coded_products(graph):
        numbers = whole_numbers(graph, product_)
        assert numbers is not None
        assert pace_of(multiplier, numbers).clock == pytest.approx(1.37, abs=0.01)
    with pytest.raises(InputError, match=r"its weights are no whole numbers .*had e4m3"):
        compress(opened(tmp_path / "small.onnx"), [Halo("e4m3")], nets.samples(proto))

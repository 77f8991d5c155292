"""The parts of the study of Agile-Quant: rows of its table, and what has to be exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.compress import compress
from shoal.compress.techniques.rtn import Rtn
from shoal.formats import make, quantise, restored
from shoal.graph import load
from shoal.kv import Pruning
from shoal.study import _agile_exact as exact
from shoal.study import _agile_rows as rows
from shoal.study._agile_speed import prefills, products
from shoal.train.language import Decoder, Stretches, perplexity, save_language
from shoal.train.language.forward import Forward

SHAPE = Decoder(width=32, layers=3, heads=2, hidden=64, context=16)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> rows.Ground:
    source = np.random.default_rng(0)
    weights = {
        name: (source.standard_normal(shape) / (shape[1] ** 0.5 if len(shape) > 1 else 1)).astype(np.float32)
        for name, shape in SHAPE.shapes().items()
    }
    symbols = source.integers(0, 256, (12, 17))
    held = Stretches(symbols[:, :-1], symbols[:, 1:])
    return rows.Ground(SHAPE, weights, held, symbols[:8, :16], tmp_path_factory.mktemp("models"))


def test_the_float_row_is_the_decoders_perplexity(ground: rows.Ground) -> None:
    found = ground.judged(rows.Setting("float32"))
    assert found.perplexity == pytest.approx(perplexity(Forward(SHAPE, ground.weights), ground.held), rel=1e-6)
    assert found.at(found.places[:, -1:]).perplexity == pytest.approx(found.last)


def test_weights_come_back_from_the_model_as_they_were_coded(ground: rows.Ground, tmp_path: Path) -> None:
    found = rows.coded_weights(SHAPE, ground.weights, "int4g32", ground.fitted, tmp_path)
    name = "layers.1.mlp.up_proj.weight"
    lost = np.linalg.norm(found[name] - ground.weights[name]) / np.linalg.norm(ground.weights[name])
    assert 0.03 < lost < 0.3
    assert len({*np.round(found[name][0, :32] / np.abs(found[name][0, :32]).max(), 3)}) <= 15
    assert found["norm.weight"] is ground.weights["norm.weight"]


def test_a_row_by_hand(ground: rows.Ground, tmp_path: Path) -> None:
    """Eight bits to the nearest, by `compress` and by the format itself."""
    graph = load(save_language(SHAPE, ground.weights, 16, tmp_path / "plain.onnx"))
    coded = {layer.op: layer for layer in compress(graph, [Rtn("int8")], skip=["logits"]).layers}
    assert set(coded) == {name for name, _, _ in SHAPE.products()}
    form, matrix = make("int8"), ground.weights["layers.0.self_attn.q_proj.weight"]
    db = -10 * np.log10(np.square(restored(form, quantise(form, matrix)) - matrix).sum() / np.square(matrix).sum())
    assert coded["layers.0.self_attn.q_proj"].weight_qsnr_db == pytest.approx(db, abs=0.01)


def test_fewer_bits_lose_more(ground: rows.Ground) -> None:
    plain, eight, four = (
        ground.judged(rows.Setting(name, quantisers=quantisers))
        for name, quantisers in (("float32", {}), ("A8", rows.EIGHT), ("A4", rows.FOUR))
    )
    off = [float(np.abs(each.nats - plain.nats).mean()) for each in (eight, four)]
    assert 0 < off[0] < off[1] / 4
    value, (low, high) = rows.more(four.nats, plain.nats)
    assert low < value < high


def test_pruned_rows_say_who_is_left(ground: rows.Ground) -> None:
    whole = ground.judged(rows.Setting("float32"))
    found = ground.judged(rows.Setting("pruned", pruning=Pruning(0.25, (1,))))
    assert found.nats.shape == (12, 12)
    np.testing.assert_array_equal(found.places[:, [0, -1]], np.broadcast_to([0, 15], (12, 2)))
    table = rows.perplexities({"float32": whole, "pruned": found}, "float32")
    assert table.rows[1][1] == 75
    assert table.rows[0][2] == table.rows[0][3]


def test_what_has_to_be_exact(ground: rows.Ground) -> None:
    assert exact.lanes_agree(300, 1)
    assert exact.lanes_hold(600)
    assert exact.two_parts_agree(300, 1)
    assert all(exact.kernels_agree(16384, 1).values())
    assert exact.halvings_agree(1)
    forward = Forward(SHAPE, ground.weights)
    assert exact.unpruned_alike(forward, ground.fitted)
    assert exact.ends_stay(forward, ground.fitted)
    assert all(exact.refusals().values())


def test_peaks_are_of_norms_and_products(ground: rows.Ground) -> None:
    found = rows.peaks(Forward(SHAPE, ground.weights), ground.fitted)
    assert len(found) == 3 * (2 + 4) + 1
    assert min(found.values()) > 1


def test_clocks_name_all_ways() -> None:
    assert set(products(4, 64, 64, 2).seconds) == {"float32", "W4A8", "onnxruntime W8A8", "onnxruntime W4A8"}
    clock = prefills(Decoder(64, 2, 2, 128, 8), 8, 2, 0)
    assert len(clock.gains("float32", "W4A8, pruned")) == 2
    assert clock.ms("W4A8") > 0

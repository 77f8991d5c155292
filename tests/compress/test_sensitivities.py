"""What a layer's coding loses, by every measure, against the network run with that layer coded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog, formats
from shoal.compress import choices, compress, layers_of, opened
from shoal.compress.layers import weights_of
from shoal.compress.sensitivities.contract import Sensitivity
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.formats import quantise, restored
from shoal.graph import Graph, save
from tests.compress import nets
from tests.graph.models import info, model, node, write

NAMES = catalog.names("compress/sensitivities")
FREE = ("qsnr", "crest")  # of samples
SLOPED = ("fisher", "hessian")  # by torch


def opened_net(folder: Path) -> tuple[Graph, list[nets.Arrays]]:
    proto = nets.mixed()
    return opened(write(proto, folder)), nets.samples(proto, 6)


def losses(name: str, graph: Graph, given: list[nets.Arrays], tried: tuple[str, ...]) -> dict[str, list[float]]:
    measure: Sensitivity = catalog.make("compress/sensitivities", name)
    return {
        layer.op: [loss(each) for each in tried] for layer, loss in measure.measures(graph, layers_of(graph), given)
    }


def divergence(plain: np.ndarray, other: np.ndarray) -> float:
    """By scipy's own words, item by item."""
    from scipy.special import rel_entr, softmax

    p, q = (softmax(each.reshape(len(each), -1).astype(np.float64), axis=1) for each in (plain, other))
    return float(rel_entr(p, q).sum(axis=1).mean())


@pytest.mark.parametrize("name", NAMES)
def test_fewer_bits_lose_more_in_every_layer(name: str, tmp_path: Path) -> None:
    if name in SLOPED:
        pytest.importorskip("torch")
    graph, given = opened_net(tmp_path)
    found = losses(name, graph, given, ("int2", "int4", "int8"))
    assert list(found) == [layer.op for layer in layers_of(graph)]
    for two, four, eight in found.values():
        assert two > four > eight >= 0


def test_divergence_is_that_of_the_network_with_one_layer_coded(tmp_path: Path) -> None:
    graph, given = opened_net(tmp_path)
    found = losses("kl", graph, given, ("int3",))
    plain = nets.answers(tmp_path / "small.onnx", given)
    layers = [layer.op for layer in layers_of(graph)]
    for op in layers:
        part = compress(graph, [Rtn("int3")], skip=[each for each in layers if each != op])
        save(part.model, tmp_path / "part.onnx")
        expected = divergence(plain, nets.answers(tmp_path / "part.onnx", given))
        assert found[op][0] == pytest.approx(expected, rel=2e-3, abs=1e-9)


def test_masks_that_keep_nothing_lose_what_all_of_the_layer_does(tmp_path: Path) -> None:
    graph, given = opened_net(tmp_path)
    all_of_it = losses("kl", graph, given, ("int2",))
    none_kept = losses("masked:keep=0,masks=1,items=0", graph, given, ("int2",))
    half_kept = losses("masked:items=0", graph, given, ("int2",))
    for op in all_of_it:
        assert none_kept[op] == pytest.approx(all_of_it[op])
        assert half_kept[op][0] > 0
    assert sum(each[0] for each in half_kept.values()) < sum(each[0] for each in all_of_it.values())


def test_a_softmax_at_the_end_is_taken_as_it_is(tmp_path: Path) -> None:
    proto = nets.mixed()
    proto.graph.node.append(node("Softmax", "y", "z", axis=-1))
    proto.graph.output[0].name = "z"
    graph, given = opened(write(proto, tmp_path, "soft.onnx")), nets.samples(proto, 3)
    plain = opened_net(tmp_path)[0]
    assert losses("kl", graph, given, ("int3",)) == {
        op: pytest.approx(each, rel=5e-3) for op, each in losses("kl", plain, given, ("int3",)).items()
    }


def test_weights_alone_tell_the_qsnr(tmp_path: Path) -> None:
    graph, _ = opened_net(tmp_path)
    found = losses("qsnr", graph, [], ("int4",))
    for each in compress(graph, [Rtn("int4")]).layers:
        assert -10 * np.log10(found[each.op][0]) == pytest.approx(each.weight_qsnr_db, abs=1e-3)


def test_the_crest_factor_tells_what_whole_numbers_lose(tmp_path: Path) -> None:
    """Within what a uniform error in each step is off."""
    graph = opened(write(nets.mlp(), tmp_path))
    found = losses("crest", graph, [], ("int6g16", "int8", "int8t"))
    for layer in layers_of(graph):
        weights = weights_of(graph, layer)
        for name, loss in zip(("int6g16", "int8", "int8t"), found[layer.op], strict=True):
            form = formats.make(name)
            lost = restored(form, quantise(form, weights)) - weights
            assert loss == pytest.approx(float((lost**2).sum() / (weights**2).sum()), rel=0.12)
    with pytest.raises(InputError, match="whole numbers alone"):
        losses("crest", graph, [], ("mxfp4",))


def test_fisher_and_curvature_are_those_of_a_softmax_regression(tmp_path: Path) -> None:
    """One product of logits: both are known, H = (diag(p) − p·pᵀ) ⊗ x·xᵀ."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    weights = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    graph = opened(
        write(model([node("MatMul", "x w", "y")], [info("x", (1, 6))], ["y"], {"w": weights}, 21), tmp_path)
    )
    given = [{"x": np.random.default_rng(seed).standard_normal((1, 6)).astype(np.float32)} for seed in range(4)]
    trace = diagonal = 0.0
    lost = restored(formats.make("int3"), quantise(formats.make("int3"), weights.T)) - weights.T
    for each in given:
        logits = (each["x"] @ weights)[0]
        p = np.exp(logits - logits.max())
        p /= p.sum()
        trace += float((p - p**2).sum() * (each["x"] ** 2).sum()) / len(given)
        diagonal += 0.5 * float((np.outer(p - p**2, each["x"][0] ** 2) * lost**2).sum()) / len(given)
    curvature = losses("hessian:probes=400", graph, given, ("int3",))["y"][0]
    assert curvature == pytest.approx(trace / weights.size * float((lost**2).sum()), rel=0.1)
    assert losses("fisher:draws=400", graph, given, ("int3",))["y"][0] == pytest.approx(diagonal, rel=0.15)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FREE])
def test_measures_that_look_at_activations_want_samples(name: str, tmp_path: Path) -> None:
    graph, _ = opened_net(tmp_path)
    with pytest.raises(InputError, match="no calibration samples"):
        losses(name, graph, [], ("int4",))
    assert catalog.make("compress/sensitivities", name).needs_samples


def test_choices_tell_what_each_format_takes(tmp_path: Path) -> None:
    graph, given = opened_net(tmp_path)
    found = choices(graph, given, ("float32", "int4g16", "int8"), sensitivity="qsnr")
    assert [each.format for each in found["c1"]] == ["float32", "int8"]  # 27 columns
    assert (found["m"][0].loss, found["m"][0].bits) == (0.0, 32 * 16 * 64)
    assert found["m"][1].bits == 16 * 64 * 4 + 16 * 4 * 16


def test_wrong_masks_are_refused() -> None:
    for words in ("masked:masks=0", "masked:keep=1", "masked:keep=-0.1"):
        with pytest.raises(InputError, match="no such masks"):
            catalog.make("compress/sensitivities", words)

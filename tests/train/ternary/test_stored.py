"""Ternary layers in bytes and in a graph: the same values as in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import formats
from shoal.errors import ModelError
from shoal.formats.ternary import Ternary
from shoal.graph import Graph, access, load, save
from shoal.graph.load import read
from shoal.train.ternary import TernaryProducts, shut, stored_layers, ternary_graph
from tests.engines.test_native import answered
from tests.graph.models import info, model, node, write
from tests.train.ternary.nets import SIZES, chain, tokens

torch = pytest.importorskip("torch")

GATES: Any = ("scalar", "channel", "input")


def plain_graph(folder: Path) -> Graph:
    weights = {f"w.{name}": np.zeros(sizes[::-1], np.float32) for name, sizes in SIZES.items()}
    proto = model(
        [node("MatMul", "x w.up", "up"), node("Relu", "up", "r"), node("MatMul", "r w.o_proj", "o_proj")],
        [info("x", (1, 7, 32))], ["o_proj"], weights, 21,
    )  # fmt: skip
    return load(write(proto, folder))


def test_codes_and_scale_are_those_of_the_format() -> None:
    net = chain(TernaryProducts())
    for name, layer in stored_layers(net).items():
        weight = net.get_submodule(name).weight.detach().numpy()
        usual = formats.quantise(Ternary(group=-1, fitted="mean"), weight)
        np.testing.assert_array_equal(layer.coded.codes, usual.codes)
        np.testing.assert_array_equal(layer.coded.params["scales"], usual.params["scales"])


def test_bytes_are_those_of_the_streams_and_the_correction() -> None:
    plain, hybrid = (stored_layers(chain(TernaryProducts(rank=rank))) for rank in (0, 3))
    assert plain["up"].bytes == -(-48 * 32 // 5) + 2
    assert hybrid["up"].bytes - plain["up"].bytes == 2 * 3 * (48 + 32)
    for layer in hybrid.values():
        name, coded = layer.composed()
        assert sum(each.size for each in formats.make(name).pack(coded).values()) == layer.bytes


@pytest.mark.parametrize("gate", ["scalar", "channel"])
def test_the_composed_format_holds_the_same_matrix(gate: Any) -> None:
    net = chain(TernaryProducts(rank=3, gate=gate))
    layer, module = stored_layers(net)["up"], net.get_submodule("up")
    name, coded = layer.composed()
    form = formats.make(name)
    streams = form.pack(coded)
    matrix = formats.restored(form, form.unpack(streams, (48, 32)))
    x = tokens()
    codes = formats.restored(layer.form, layer.coded)
    side = (module.gate(x) * (x @ module.side_in @ module.side_out)).detach().numpy()
    wanted = x.numpy() @ codes.T + side
    np.testing.assert_allclose(x.numpy() @ matrix.T, wanted, atol=2e-3 * np.abs(wanted).max())


def test_corrections_that_do_next_to_nothing_are_left_out() -> None:
    net = chain(TernaryProducts(rank=3))
    shut(net)
    assert all(layer.side is None for layer in stored_layers(net).values())


@pytest.mark.parametrize("packed", ["tern2t", "tern3x5t", "tern5x8t"])
@pytest.mark.parametrize(
    "products", [TernaryProducts(), *(TernaryProducts(rank=3, gate=gate) for gate in GATES)], ids=str
)
def test_the_graph_answers_as_torch_does(products: TernaryProducts, packed: str, tmp_path: Path) -> None:
    net = chain(products)
    made = ternary_graph(plain_graph(tmp_path), stored_layers(net, packed))
    save(made.model, tmp_path / "ternary.onnx")
    x = tokens()
    wanted = net(x).detach().numpy()
    found = answered(tmp_path / "ternary.onnx", "native", x.numpy(), tmp_path / "n")
    assert np.linalg.norm(found - wanted) < 3e-3 * np.linalg.norm(wanted)
    again = answered(tmp_path / "ternary.onnx", "onnxruntime:accuracy=1", x.numpy(), tmp_path / "o")
    assert np.linalg.norm(again - wanted) < 3e-2 * np.linalg.norm(wanted)  # activations stay float32


def test_the_file_holds_the_bytes(tmp_path: Path) -> None:
    layers = stored_layers(chain(TernaryProducts(rank=3)))
    save(ternary_graph(plain_graph(tmp_path), layers).model, tmp_path / "ternary.onnx")
    stored = read(tmp_path / "ternary.onnx").graph.initializers
    held = sum(access.data(each).nbytes for name, each in stored.items() if not name.startswith("w."))
    assert held - sum(layer.bytes for layer in layers.values()) < 32  # ε and an axis


def test_products_that_are_not_there(tmp_path: Path) -> None:
    layers = stored_layers(chain(TernaryProducts()))
    with pytest.raises(ModelError, match="no such product"):
        ternary_graph(plain_graph(tmp_path), {"q_proj": layers["up"]})
    with pytest.raises(ModelError, match="other sizes"):
        ternary_graph(plain_graph(tmp_path), {"o_proj": layers["up"]})

"""Plans of compressed models: who may run products on codes, and what a plan says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.graph import Graph, load, save
from shoal.plan.problem import usable_engines
from tests.compress import nets
from tests.graph.models import write
from tests.plan.toys import device, fleet

MACHINES = fleet(device("a", engines=("onnxruntime", "native")))


def graph_in(name: str, folder: Path) -> Graph:
    save(compress(opened(write(nets.mlp(), folder)), [Rtn(name)]).model, folder / "coded.onnx")
    return load(folder / "coded.onnx")


@pytest.mark.parametrize("name", ["int4g32", "tern2"])
def test_native_is_offered_for_packed_weights(name: str, tmp_path: Path) -> None:
    graph = graph_in(name, tmp_path)
    assert usable_engines(graph, MACHINES, "a/cpu", ()) == ("onnxruntime", "native")
    assert usable_engines(graph, MACHINES, "a/cpu", ("native",)) == ("native",)


def test_it_is_not_for_others_unless_asked_for(tmp_path: Path) -> None:
    graph = load(write(nets.mlp(), tmp_path))
    assert usable_engines(graph, MACHINES, "a/cpu", ()) == ("onnxruntime",)
    assert usable_engines(graph, MACHINES, "a/cpu", ("native",)) == ("native",)

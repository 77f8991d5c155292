"""What the ops of a compressed model cost where its products run on their codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.graph import Graph, load, save
from shoal.measure import profile_ops
from tests.compress import nets
from tests.graph.models import write


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    made = compress(opened(write(nets.mlp(256, 4), tmp_path)), [Rtn("hlq2g64")])
    save(made.model, tmp_path / "coded.onnx")
    return load(tmp_path / "coded.onnx")


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_decodes_cost_nothing_and_products_do(graph: Graph, engine: str) -> None:
    assert graph.packed
    samples = profile_ops(graph, engine, repeats=5)
    assert {sample.engine for sample in samples} == {engine}
    seconds = dict(zip(graph.ops, (sample.median_s for sample in samples), strict=True))
    assert all(each == 0 for op, each in seconds.items() if op.kind == "Decode")
    assert all(each > 0 for op, each in seconds.items() if op.kind == "MatMul")


def test_a_plain_graph_is_not_packed(tmp_path: Path) -> None:
    assert not load(write(nets.mlp(), tmp_path)).packed

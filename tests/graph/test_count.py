from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from shoal.graph import load
from tests.graph.models import floats, info, model, node, write

CASES: list[tuple[onnx.NodeProto, list[tuple[int, ...]], dict[str, npt.NDArray[np.float32]], int]] = [
    (
        node("Conv", "x w", "y", pads=[1, 1, 1, 1]),
        [(2, 4, 5, 6)],
        {"w": floats(8, 4, 3, 3)},
        2 * 8 * 5 * 6 * 4 * 9,
    ),
    (
        node("Conv", "x w", "y", group=4, strides=[2, 2]),
        [(1, 4, 6, 6)],
        {"w": floats(4, 1, 2, 2)},
        4 * 3 * 3 * 4,
    ),
    (
        node("ConvTranspose", "x w", "y", strides=[2, 2]),
        [(1, 4, 5, 5)],
        {"w": floats(4, 3, 2, 2)},
        100 * 3 * 4,
    ),
    (node("Gemm", "x w", "y"), [(3, 4)], {"w": floats(4, 5)}, 60),
    (node("Gemm", "x w", "y", transA=1, transB=1), [(4, 3)], {"w": floats(5, 4)}, 60),
    (node("MatMul", "x z", "y"), [(2, 3, 4, 5), (2, 3, 5, 6)], {}, 2 * 3 * 4 * 5 * 6),
    (node("MatMul", "x z", "y"), [(5,), (5,)], {}, 5),
    (node("Einsum", "x z", "y", equation="bij,bjk->bik"), [(2, 3, 4), (2, 4, 5)], {}, 2 * 3 * 4 * 5),
    (node("Einsum", "x z", "y", equation="...ij,...jk->...ik"), [(2, 3, 4), (2, 4, 5)], {}, 2 * 3 * 4 * 5),
    (
        node("LSTM", "x w r", "y", hidden_size=6),
        [(7, 2, 3)],
        {"w": floats(1, 24, 3), "r": floats(1, 24, 6)},
        7 * 2 * 4 * 6 * (3 + 6),
    ),
    (
        node("GRU", "x w r", "y", hidden_size=6, direction="bidirectional"),
        [(7, 2, 3)],
        {"w": floats(2, 18, 3), "r": floats(2, 18, 6)},
        2 * 7 * 2 * 3 * 6 * (3 + 6),
    ),
    (node("Attention", "q k v", "y"), [(1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)], {}, 2 * 3 * 5 * (4 + 6)),
    (
        node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2),
        [(1, 3, 16), (1, 5, 8), (1, 5, 12)],
        {},
        4 * 3 * 5 * (4 + 6),
    ),
    (node("Add", "x z", "y"), [(3, 4), (3, 4)], {}, 0),
]


@pytest.mark.parametrize(("one", "shapes", "weights", "macs"), CASES)
def test_macs(
    tmp_path: Path,
    one: onnx.NodeProto,
    shapes: list[tuple[int, ...]],
    weights: dict[str, npt.NDArray[np.float32]],
    macs: int,
) -> None:
    names = [name for name in one.input if name not in weights]
    inputs = [info(name, shape) for name, shape in zip(names, shapes, strict=True)]
    graph = load(write(model([one], inputs, ["y"], weights, opset=23), tmp_path))
    assert graph.macs == macs
    assert graph.ops[0].read_bytes == sum(4 * int(np.prod(shape)) for shape in shapes)
    assert graph.ops[0].written_bytes == graph.tensors["y"].bytes
    assert graph.ops[0].weights_bytes == sum(array.nbytes for array in weights.values())

"""The products of a network that have weights: as matrices (rows, columns), whatever the op that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph, access, array
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One product: y = W·x for each place of the input, W of (rows, columns)."""

    op: str
    kind: str  # "MatMul", "Gemm", "Conv"
    weight: str
    input: str
    shape: tuple[int, int]  # of W: outputs, and what each of them sums over
    stored: tuple[int, ...]  # of the tensor in the file
    transposed: bool = False  # the file has (columns, rows)
    groups: int = 1  # of a convolution: row r sees the channels of group r · groups // rows
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()  # begins, then ends
    dilations: tuple[int, ...] = ()

    def matrix(self, tensor: NDArray[Any]) -> Matrix:
        """W, from the tensor of the file."""
        values = np.asarray(tensor, np.float32)
        return np.ascontiguousarray(values.T if self.transposed else values.reshape(self.shape))

    def tensor(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """The file's tensor, from W."""
        return np.ascontiguousarray(matrix.T if self.transposed else matrix.reshape(self.stored))

    def seen(self, x: NDArray[Any], most: int, source: np.random.Generator) -> NDArray[np.float32]:
        """What the rows of each group see: (groups, places, columns), of at most so many places.

        Args:
            x: the layer's input, of one item.
            most: places; beyond that they are drawn.
            source: of the draws.
        """
        if self.kind != "Conv":
            flat = x.reshape(-1, self.shape[1])
            return np.asarray(_some(flat, most, source)[None], np.float32)
        return _patches(self, x, most, source)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """Every product of a constant float32 matrix or kernel with an activation, in the graph's order."""
    nodes = {label(node): node for node in graph.model.graph}
    return tuple(_layers(graph, nodes))


def weights_of(graph: Graph, layer: Layer) -> Matrix:
    """W of the layer."""
    return layer.matrix(array(graph, layer.weight))


def _layers(graph: Graph, nodes: dict[str, ir.Node]) -> Iterator[Layer]:
    for op in graph.ops:
        node = nodes[op.name]
        if op.kind not in ("MatMul", "Gemm", "Conv") or len(node.inputs) < 2 or node.inputs[1] is None:
            continue
        name, first = access.name(node.inputs[1]), node.inputs[0]
        weight = graph.weights.get(name)
        if weight is None or weight.dtype != "float32" or first is None or first.name not in graph.tensors:
            continue
        found = (
            _conv(op.name, node, name, weight.shape)
            if op.kind == "Conv"
            else _flat(op.name, node, name, weight.shape)
        )
        if found is not None:
            yield found


def _flat(op: str, node: ir.Node, weight: str, stored: tuple[int, ...]) -> Layer | None:
    if len(stored) != 2 or (node.op_type == "Gemm" and _number(node, "transA", 0)):
        return None
    transposed = not (node.op_type == "Gemm" and _number(node, "transB", 0))
    rows, columns = stored[::-1] if transposed else stored
    return Layer(op, node.op_type, weight, access.name(_first(node)), (rows, columns), stored, transposed)


def _conv(op: str, node: ir.Node, weight: str, stored: tuple[int, ...]) -> Layer | None:
    if len(stored) != 4:
        return None
    axes = len(stored) - 2
    kernel = stored[2:]
    strides, dilations = (_numbers(node, name, (1,) * axes) for name in ("strides", "dilations"))
    pads = _numbers(node, "pads", (0,) * (2 * axes))
    automatic = node.attributes.get("auto_pad")
    if automatic is not None and automatic.as_string() in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(
            access.dims(_first(node))[2:], kernel, strides, dilations, automatic.as_string() == "SAME_UPPER"
        )
    shape = (stored[0], prod(stored[1:]))
    groups = int(_number(node, "group", 1))
    return Layer(op, "Conv", weight, access.name(_first(node)), shape, stored, groups=groups, kernel=kernel,
                 strides=strides, pads=pads, dilations=dilations)  # fmt: skip


def _patches(layer: Layer, x: NDArray[Any], most: int, source: np.random.Generator) -> NDArray[np.float32]:
    """The patches of a convolution, by group."""
    axes = len(layer.kernel)
    begins, ends = layer.pads[:axes], layer.pads[axes:]
    padded = np.pad(np.asarray(x, np.float32), [(0, 0), (0, 0), *zip(begins, ends, strict=True)])
    spans = [(size - 1) * step + 1 for size, step in zip(layer.kernel, layer.dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, 2 + axes)))
    places = tuple(slice(None, None, step) for step in layer.strides)
    inside = tuple(slice(None, None, step) for step in layer.dilations)
    windows = windows[(slice(None), slice(None), *places, *inside)]
    items, channels = windows.shape[:2]
    count = items * prod(windows.shape[2 : 2 + axes])
    order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    ordered = windows.transpose(order)
    chosen = np.arange(count) if count <= most else np.sort(source.choice(count, most, replace=False))
    at = np.unravel_index(chosen, ordered.shape[: 1 + axes])
    flat = ordered[at].reshape(len(chosen), layer.groups, channels // layer.groups * prod(layer.kernel))
    return np.ascontiguousarray(flat.swapaxes(0, 1))


def _same(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    upper: bool,
) -> tuple[int, ...]:
    wholes = [
        max(0, (-(-size // step) - 1) * step + (width - 1) * apart + 1 - size)
        for size, width, step, apart in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    less, more = [each // 2 for each in wholes], [each - each // 2 for each in wholes]
    return (*less, *more) if upper else (*more, *less)


def _some(flat: NDArray[Any], most: int, source: np.random.Generator) -> NDArray[Any]:
    if len(flat) <= most:
        return flat
    return flat[np.sort(source.choice(len(flat), most, replace=False))]


def _first(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _number(node: ir.Node, name: str, default: float) -> float:
    found = node.attributes.get(name)
    return default if found is None else found.value


def _numbers(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = node.attributes.get(name)
    return default if found is None else tuple(found.as_ints())

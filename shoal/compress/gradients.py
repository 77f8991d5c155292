"""A network in torch, for what needs gradients: its ops one after another, weights as leaves.

torch is the extra `train`. The ops are those of convolutional networks, perceptrons and transformers; others are refused
by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import ModelError
from shoal.graph import Graph, array
from shoal.graph.tidy import label
from shoal.train.library import torch_module

if TYPE_CHECKING:
    import onnx_ir as ir

Tensor = Any  # torch.Tensor; without torch there is none
Attributes = Mapping[str, Any]
REPEATING = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
}  # at whole multiples: each pixel so often


class Differentiable:
    """A graph's ops on torch tensors. Its first axis may hold more items than the graph was bound to."""

    def __init__(self, graph: Graph) -> None:
        """Read all weights.

        Raises:
            MissingExtra: torch is not installed.
            ModelError: an op has no form here.
        """
        self._torch = torch_module()
        self._known = _ops(self._torch)
        self.graph = graph
        for op in graph.ops:
            if op.kind not in self._known:
                raise ModelError(f"'{op.kind}' has no gradient here", where=op.name, needed=", ".join(sorted(self._known)),
                                 hint="what needs none: kl and masked to measure, adaround to round")  # fmt: skip
        self.weights: dict[str, Tensor] = {
            name: self._torch.from_numpy(np.array(array(graph, name))) for name in graph.weights
        }

    def __call__(self, feeds: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
        """The tensors `wanted`, by name; ops after the last of them are not run."""
        values: dict[str, Tensor] = {**self.weights, **feeds}
        left = set(wanted) - set(values)
        for node in self.graph.model.graph:
            if not left:
                break
            inputs = [None if value is None or not value.name else values[value.name] for value in node.inputs]
            attributes = {name: _plain(each) for name, each in node.attributes.items()}
            try:
                values[node.outputs[0].name or ""] = self._known[node.op_type](inputs, attributes)
            except (RuntimeError, TypeError, KeyError) as fault:
                raise ModelError(f"'{node.op_type}' of this form has no gradient here: {str(fault).splitlines()[0]}",
                                 where=label(node)) from fault  # fmt: skip
            left.discard(node.outputs[0].name or "")
        return {name: values[name] for name in wanted}


def _plain(attribute: ir.Attr) -> Any:
    value = attribute.value
    return tuple(value) if isinstance(value, list) else value


def _ops(torch: Any) -> dict[str, Callable[[list[Tensor], Attributes], Tensor]]:
    """What each op does; only the first output of an op counts."""
    functional = torch.nn.functional
    return {
        "Conv": lambda x, a: _convolved(functional, x, a),
        "BatchNormalization": lambda x, a: functional.batch_norm(
            x[0], x[3], x[4], x[1], x[2], eps=a.get("epsilon", 1e-5)
        ),
        "Gemm": _gemm,
        "MatMul": lambda x, a: x[0] @ x[1],
        "InstanceNormalization": lambda x, a: functional.instance_norm(
            x[0], weight=x[1], bias=x[2], eps=a.get("epsilon", 1e-5)
        ),
        "Relu": lambda x, a: functional.relu(x[0]),
        "Clip": lambda x, a: _clipped(torch, x, a),
        "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
        "Tanh": lambda x, a: torch.tanh(x[0]),
        "Softmax": lambda x, a: torch.softmax(x[0], a.get("axis", -1)),
        "Add": lambda x, a: x[0] + x[1],
        "Sum": lambda x, a: sum(x[1:], start=x[0]),
        "Sub": lambda x, a: x[0] - x[1],
        "Mul": lambda x, a: x[0] * x[1],
        "Div": lambda x, a: x[0] / x[1],
        "Exp": lambda x, a: torch.exp(x[0]),
        "Sqrt": lambda x, a: torch.sqrt(x[0]),
        "Erf": lambda x, a: torch.erf(x[0]),
        "Pow": lambda x, a: torch.pow(x[0], x[1]),
        "LayerNormalization": lambda x, a: functional.layer_norm(
            x[0], x[1].shape, *x[1:3], eps=a.get("epsilon", 1e-5)
        ),
        "Transpose": lambda x, a: x[0].permute(a.get("perm", tuple(reversed(range(x[0].dim()))))),
        "Resize": lambda x, a: _enlarged(functional, x, a),
        "Reshape": lambda x, a: x[0].reshape([size or x[0].shape[at] for at, size in enumerate(x[1].tolist())]),
        "Unsqueeze": _unsqueezed,
        "Gather": lambda x, a: _gathered(x[0], x[1].long(), a.get("axis", 0)),
        "Cast": lambda x, a: x[0].to(_kinds(torch)[a["to"]]),
        "Neg": lambda x, a: -x[0],
        "Max": lambda x, a: reduce(torch.maximum, x),
        "ReduceSum": lambda x, a: x[0].sum(**_over(x, a)),
        "ReduceMean": lambda x, a: x[0].mean(**_over(x, a)),
        "ReduceL2": lambda x, a: x[0].square().sum(**_over(x, a)).sqrt(),
        "Identity": lambda x, a: x[0],
        "Concat": lambda x, a: torch.cat(x, a["axis"]),
        "Flatten": lambda x, a: _flattened(x[0], a.get("axis", 1)),
        "GlobalAveragePool": lambda x, a: x[0].mean(dim=tuple(range(2, x[0].dim())), keepdim=True),
        "AveragePool": lambda x, a: _pooled(functional.avg_pool2d, functional, x[0], a, 0.0),
        "MaxPool": lambda x, a: _pooled(functional.max_pool2d, functional, x[0], a, float("-inf")),
    }


def _convolved(functional: Any, x: list[Tensor], a: Attributes) -> Tensor:
    if x[1].dim() != 4:
        raise KeyError("not two axes")
    strides, dilations = (tuple(a.get(name, (1, 1))) for name in ("strides", "dilations"))
    top, left, bottom, right = _padding(x[0].shape[2:], x[1].shape[2:], strides, dilations, a)
    padded = functional.pad(x[0], (left, right, top, bottom)) if any((top, left, bottom, right)) else x[0]
    bias = x[2] if len(x) > 2 else None
    return functional.conv2d(padded, x[1], bias, stride=strides, dilation=dilations, groups=a.get("group", 1))


def _padding(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], a: Attributes
) -> tuple[int, ...]:
    """Before the first axis and the second, then after them."""
    automatic = a.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", "VALID"):
        return tuple(a.get("pads", (0, 0, 0, 0)))
    wholes = [
        max(0, (-(-size // step) - 1) * step + (width - 1) * apart + 1 - size)
        for size, width, step, apart in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    less, more = [each // 2 for each in wholes], [each - each // 2 for each in wholes]
    return (*less, *more) if automatic == "SAME_UPPER" else (*more, *less)


def _kinds(torch: Any) -> dict[int, Any]:
    """By the number that ONNX has for a type."""
    return {1: torch.float32, 6: torch.int32, 7: torch.int64}


def _over(x: list[Tensor], a: Attributes) -> dict[str, Any]:
    """Axes and whether they stay, as torch takes them."""
    axes = a.get("axes", x[1].tolist() if len(x) > 1 and x[1] is not None else range(x[0].dim()))
    return {"dim": tuple(axes), "keepdim": bool(a.get("keepdims", 1))}


def _unsqueezed(x: list[Tensor], a: Attributes) -> Tensor:
    axes = a.get("axes", x[1].tolist() if len(x) > 1 else ())
    whole = x[0].dim() + len(axes)
    found = x[0]
    for axis in sorted(axis % whole for axis in axes):
        found = found.unsqueeze(axis)
    return found


def _gathered(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    axis %= x.dim()
    found = x.index_select(axis, indices.reshape(-1) % x.shape[axis])
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _enlarged(functional: Any, x: list[Tensor], a: Attributes) -> Tensor:
    """Pictures of which each pixel is repeated."""
    scales = [round(float(each), 6) for each in x[2]] if len(x) == 3 and x[2] is not None else []
    whole = scales[:2] == [1, 1] and all(each >= 1 and each % 1 == 0 for each in scales)
    way = (a.get("coordinate_transformation_mode", "half_pixel"), a.get("nearest_mode", "round_prefer_floor"))
    if not whole or a.get("mode", "nearest") != "nearest" or way not in REPEATING:
        raise KeyError("other than whole repeats of pixels")
    return functional.interpolate(x[0], scale_factor=scales[2:], mode="nearest")


def _gemm(x: list[Tensor], a: Attributes) -> Tensor:
    left = x[0].T if a.get("transA", 0) else x[0]
    right = x[1].T if a.get("transB", 0) else x[1]
    product = a.get("alpha", 1.0) * (left @ right)
    return product + a.get("beta", 1.0) * x[2] if len(x) > 2 and x[2] is not None else product


def _clipped(torch: Any, x: list[Tensor], a: Attributes) -> Tensor:
    low = x[1] if len(x) > 1 else a.get("min")
    high = x[2] if len(x) > 2 else a.get("max")
    ends = [None if end is None else float(end) for end in (low, high)]
    return x[0] if ends == [None, None] else torch.clamp(x[0], *ends)


def _flattened(x: Tensor, axis: int) -> Tensor:
    if axis != 1:
        raise KeyError("an axis other than 1")
    return x.reshape(x.shape[0], -1)


def _pooled(pool: Any, functional: Any, x: Tensor, a: Attributes, filler: float) -> Tensor:
    if (
        len(a["kernel_shape"]) != 2
        or a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        or a.get("ceil_mode", 0)
    ):
        raise KeyError("automatic padding, rounded up, or not two axes")
    pads = a.get("pads", (0, 0, 0, 0))
    if any(pads):
        if filler == 0.0 and not a.get("count_include_pad", 0):
            raise KeyError("an average that leaves out the padding")
        x = functional.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=filler)
    return pool(x, tuple(a["kernel_shape"]), stride=tuple(a.get("strides", (1, 1))))

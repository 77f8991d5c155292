"""Binary products on this processor against float ones: a convolution, and whole networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.train import PackedConv, arrays, packed, predicted

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Timed:
    """Seconds of float and of packed signs, and the bytes of the weights."""

    float_s: float
    packed_s: float
    float_bytes: int
    packed_bytes: int


def convolution(channels: int, side: int, repeats: int) -> Timed:
    """A 3×3 convolution of one picture: onnxruntime in float32 with one thread, and packed signs.

    The packed one starts from figures: their signs are taken and packed within its time.
    """
    source = np.random.default_rng(0)
    weights = np.where(source.random((channels, channels, 3, 3)) < 0.5, -1, 1).astype(np.float32)
    x = source.standard_normal((1, channels, side, side)).astype(np.float32)
    session, small = _session(weights, side), PackedConv.of(weights, pad=1)
    float_s, packed_s = _alternating(lambda: session.run(None, {"x": x}), lambda: small.sums(x >= 0), repeats)
    return Timed(float_s, packed_s, weights.nbytes, small.bytes)


def network(plain: nn.Module, binary: nn.Module, x: Any, repeats: int) -> Timed:
    """The inference of a float network by torch with one thread, and of a binary one from packed signs."""
    from shoal.train.library import torch_threads

    small = packed(binary)
    with torch_threads():
        float_s, packed_s = _alternating(lambda: predicted(plain, x), lambda: predicted(small, x), repeats)
    sizes = [sum(each.nbytes for each in arrays(net).values()) for net in (plain, small)]
    return Timed(float_s, packed_s, *sizes)


def _session(weights: Any, side: int) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    channels = len(weights)
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, side, side]) for name in ("x", "y")
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "conv", value[:1], value[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _alternating(one: Callable[[], Any], other: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Medians of both, taken in turn so that what else the machine does meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 2):
        for way, kept in zip((one, other), times, strict=True):
            begun = time.perf_counter()
            way()
            if repeat >= 2:  # the first ones warm up
                kept.append(time.perf_counter() - begun)
    return median(times[0]), median(times[1])

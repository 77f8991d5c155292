"""A U-Net for pictures of 8×8, as ONNX ops: what noise is in a picture, given how much of it there is.

The skip connection is joined by a 1×1 convolution of each half, and their sum, which is that of the concatenation: so
each half has a range of its own once activations are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

F32 = NDArray[np.float32]
SIDE = 8  # pixels
PICTURE, TIME, NOISE = (
    "picture",
    "time",
    "noise",
)  # inputs (n, 1, 8, 8) and (n, features, 1, 1), output (n, 1, 8, 8)
ENDS = ("time.1", "time.2", "first", NOISE)  # convolutions that get eight bits: of time, and the outermost ones
TWICE, ONES, ZEROS = "twice", "ones", "zeros"  # constants that are not learned


@dataclass(frozen=True)
class Unet:
    """Two blocks at 8×8, and some at 4×4 of twice the channels."""

    width: int = 36  # channels at 8×8
    blocks: int = 2  # at 4×4
    times: int = 64  # features that time comes in
    hidden: int = 128  # … that it is made into
    groups: int = 4  # of channels that are normalised together

    def drawn(self, seed: int) -> dict[str, F32]:
        """Weights to begin with; each block begins as nothing but its way around."""
        source = np.random.default_rng(seed)
        return {
            name: np.float32(mean) + (source.standard_normal(shape) * deviation).astype(np.float32)
            for name, (shape, deviation, mean) in self._parts().weights.items()
        }

    def model(self, weights: Mapping[str, F32]) -> onnx.ModelProto:
        """The network with these weights, for any number of pictures."""
        from onnx import TensorProto, helper, numpy_helper

        shapes = {PICTURE: (1, SIDE, SIDE), TIME: (self.times, 1, 1), NOISE: (1, SIDE, SIDE)}
        *inputs, output = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))
            for name, shape in shapes.items()
        )
        parts = self._parts()
        tensors = [
            numpy_helper.from_array(each, name) for name, each in (*weights.items(), *parts.constants.items())
        ]
        graph = helper.make_graph(parts.nodes, "unet", inputs, [output], tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    def _parts(self) -> _Parts:
        parts, width = _Parts(self.groups), self.width
        hidden = parts.swish(parts.conv("time.1", TIME, self.hidden, self.times, 1))
        time = parts.swish(parts.conv("time.2", hidden, self.hidden, self.hidden, 1)), self.hidden
        fine = parts.block("fine", parts.conv("first", PICTURE, width, 1), width, SIDE, time)
        below = parts.conv("down", fine, 2 * width, width, stride=2)
        for number in range(self.blocks):
            below = parts.block(f"coarse.{number}", below, 2 * width, SIDE // 2, time)
        above = parts.conv("up", parts.add("Resize", [below, "", TWICE], "larger"), width, 2 * width)
        halves = [parts.conv(f"join.{number}", each, width, width, 1) for number, each in enumerate((above, fine))]
        last = parts.block("last", parts.add("Add", halves, "join"), width, SIDE, time)
        parts.conv(NOISE, parts.normed("end.norm", last, width, SIDE), 1, width, gain=0.0)
        return parts


class _Parts:
    """Ops and weights as they are put together: a weight's shape, and deviation and mean to begin with."""

    def __init__(self, groups: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, tuple[tuple[int, ...], float, float]] = {}
        self.constants: dict[str, NDArray[Any]] = {
            TWICE: np.array([1, 1, 2, 2], np.float32), ONES: np.ones(groups, np.float32), ZEROS: np.zeros(groups, np.float32)
        }  # fmt: skip
        self._groups = groups

    def add(self, kind: str, given: Sequence[str], name: str, **attributes: Any) -> str:
        """An op whose output has its name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(given), [name], name=name, **attributes))
        return name

    def conv(
        self, name: str, given: str, rows: int, columns: int, size: int = 3, stride: int = 1, gain: float = 1.0
    ) -> str:
        deviation = gain / (columns * size * size) ** 0.5
        weights = [
            self._weight(f"{name}.w", (rows, columns, size, size), deviation),
            self._weight(f"{name}.b", (rows,)),
        ]
        return self.add("Conv", [given, *weights], name, kernel_shape=[size] * 2, strides=[stride] * 2,
                        pads=[size // 2] * 4)  # fmt: skip

    def swish(self, given: str) -> str:
        return self.add("Mul", [given, self.add("Sigmoid", [given], f"{given}.gate")], f"{given}.swish")

    def normed(self, name: str, given: str, channels: int, side: int) -> str:
        """Groups of channels to mean 0 and deviation 1, a scale and a shift a channel, and an activation function."""
        grouped = self._reshaped(f"{name}.groups", given, (0, self._groups, -1))
        even = self.add("InstanceNormalization", [grouped, ONES, ZEROS], f"{name}.even")
        whole = self._reshaped(f"{name}.whole", even, (0, channels, side, side))
        scale = self._weight(f"{name}.scale", (channels, 1, 1), mean=1.0)
        scaled = self.add("Mul", [whole, scale], f"{name}.scaled")
        return self.swish(self.add("Add", [scaled, self._weight(f"{name}.shift", (channels, 1, 1))], name))

    def block(self, name: str, given: str, channels: int, side: int, time: tuple[str, int]) -> str:
        """Two convolutions with a way around; time is added between them."""
        first = self.conv(f"{name}.1", self.normed(f"{name}.norm1", given, channels, side), channels, channels)
        told = self.conv(f"{name}.time", time[0], channels, time[1], 1)
        both = self.normed(f"{name}.norm2", self.add("Add", [first, told], f"{name}.told"), channels, side)
        second = self.conv(f"{name}.2", both, channels, channels, gain=0.0)
        return self.add("Add", [second, given], name)

    def _reshaped(self, name: str, given: str, sizes: Sequence[int]) -> str:
        self.constants[f"{name}.sizes"] = np.array(sizes, np.int64)
        return self.add("Reshape", [given, f"{name}.sizes"], name)

    def _weight(self, name: str, shape: tuple[int, ...], deviation: float = 0.0, mean: float = 0.0) -> str:
        self.weights[name] = shape, deviation, mean
        return name

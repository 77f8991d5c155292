"""Layers of a trained ternary decoder as ops of a machine, and what they give exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.trits import fives
from shoal.machines.accelerators import Accelerator, Call, Operand, Ran

if TYPE_CHECKING:
    from torch import nn

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TernaryLayer:
    """One layer."""

    name: str
    trits: NDArray[np.int8]  # (inputs, outputs)
    scale: np.float32

    @property
    def inputs(self) -> int:
        """Of a row of activations."""
        return int(self.trits.shape[0])

    @property
    def outputs(self) -> int:
        """Of it."""
        return int(self.trits.shape[1])

    def call(self, rows: int) -> Call:
        """A product with so many rows of activations."""
        values = self.trits * self.scale
        x = Operand("x", "float32", (rows, self.inputs))
        weights = Operand(f"{self.name}.weight", "float32", values.shape, lambda: values)
        return Call(self.name, "MatMul", (x, weights), (Operand("y", "float32", (rows, self.outputs)),))

    def exact(self, x: F32) -> F32:
        """By the packed kernel in numpy: whole sums, one scale for each row of activations."""
        scales = np.full(self.outputs, self.scale, np.float32)
        return fives((self.trits.T + 1).astype(np.uint8), scales, by_token=True).product(x, "numpy")


def layers_of(model: nn.Module) -> Iterator[TernaryLayer]:
    """Those of a trained decoder's first block, which has one of every size."""
    from shoal.train.ternary import stored_layers

    for name, stored in stored_layers(model).items():
        if name.startswith("layers.0."):
            scale = np.float32(stored.coded.params["scales"].reshape(-1)[0])
            yield TernaryLayer(name, stored.coded.codes.T.astype(np.int8) - np.int8(1), scale)


def through(machine: Accelerator[Any], layer: TernaryLayer, rows: int, seed: int = 0) -> tuple[Ran, bool]:
    """A run with drawn activations, and whether it gives exactly what the packed kernel gives."""
    call = layer.call(rows)
    x = np.random.default_rng(seed).standard_normal((rows, layer.inputs)).astype(np.float32)
    ran = machine.run(machine.compiled(call), {"x": x})
    return ran, bool(np.array_equal(ran.outputs["y"], layer.exact(x)))

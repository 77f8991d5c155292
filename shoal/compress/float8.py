"""Activations in floating-point numbers of eight bits: split and largest value of each tensor, from its samples.

Source of the search: arXiv 2408.06995. In the network the rounding is computed in float32, by eight ops that are exact
(see `formats._floats.float_rounded`): onnxruntime has no kernels that multiply such numbers, and ONNX has types for two
of the four splits only. Products so get what a unit for these numbers would be fed, and take no less time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.formats._floats import float_rounded, float_values, splitting
from shoal.formats.split import Split
from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir

BITS = 8


@dataclass(frozen=True)
class FloatRange:
    """x = scale · f, f a number of so many exponent and mantissa bits."""

    scale: float
    exponent: int
    mantissa: int

    @property
    def most(self) -> float:
        """The largest value."""
        return self.scale * float(float_values(self.exponent, self.mantissa)[-1])

    def rounded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What is left of `x`."""
        scale = np.float32(self.scale)
        found: NDArray[np.float32] = (
            float_rounded(np.asarray(x, np.float32) / scale, self.exponent, self.mantissa) * scale
        )
        return found

    def nodes(self, model: ir.Model, value: ir.Value) -> list[ir.Node]:
        """Ops, the last of which gives what is left of `value`."""
        import onnx_ir as ir

        numbers = splitting(self.exponent, self.mantissa)
        factor, large, least, most, low, scale = (
            access.constant(model, f"{value.name}.{name}", np.array(each, np.float32))
            for name, each in zip(
                ("factor", "large", "least", "most", "low", "scale"),
                (*numbers, -numbers[-1], self.scale),
                strict=True,
            )
        )
        made: list[ir.Node] = []

        def add(kind: str, *inputs: ir.Value) -> ir.Value:
            made.append(ir.node(kind, list(inputs), name=f"{value.name}.round{len(made)}"))
            return made[-1].outputs[0]

        inside = add("Clip", add("Div", value, scale), low, most)
        wide = add("Mul", inside, factor)
        normal = add("Sub", wide, add("Sub", wide, inside))
        small = add("Sub", add("Add", inside, large), large)
        add("Mul", add("Where", add("Less", add("Abs", inside), least), small, normal), scale)
        return made


def float_range(values: NDArray[np.float32]) -> FloatRange:
    """The split and the largest value with the least squared error on these values, as `formats.split` searches them."""
    form = Split(BITS, group=-1)
    params = form.fit(values.reshape(1, -1))
    return FloatRange(float(params["scales"][0, 0]), *form.pairs[int(params["splits"][0, 0])])

"""Products with ternary weights, drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.machines.accelerators import Call, Operand


def ternary_call(trits: NDArray[np.int8], scale: float, rows: int) -> Call:
    """x·W with W of shape (inputs, outputs)."""
    values = trits.astype(np.float32) * np.float32(scale)
    inputs, outputs = trits.shape
    x, y = Operand("x", "float32", (rows, inputs)), Operand("y", "float32", (rows, outputs))
    return Call("y", "MatMul", (x, Operand("w", "float32", values.shape, lambda: values)), (y,))


def whole(rows: int, inputs: int, seed: int) -> NDArray[np.float32]:
    """Whole numbers of which each row has a 127, so that its scale is one."""
    drawn = np.random.default_rng(seed).integers(-127, 128, (rows, inputs)).astype(np.float32)
    drawn[:, 0] = 127
    return drawn


@st.composite
def products(draw: st.DrawFn) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Ternary weights with at least one that is not zero, and activations that are whole numbers."""
    inputs, outputs, rows, seed = (draw(st.integers(1, most)) for most in (70, 40, 4, 2**20))
    trits = np.random.default_rng(seed).integers(-1, 2, (inputs, outputs)).astype(np.int8)
    trits[0, 0] = 1
    return trits, whole(rows, inputs, seed)

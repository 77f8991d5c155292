"""How quick the models of machines are: multiplier-cycles that they carry out in a second of one core, values included.

`python -m bench.machines` · medians of rounds, lowest and highest beside them; the aims are 3 M a second for the array of active
messages, where every place may act each cycle, and 10 M for tile engines.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from shoal.machines.accelerators import Call, Operand, accelerator
from shoal.machines.accelerators.contract import Array

ROUNDS = 7
ROWS, INNER, COLUMNS = 64, 512, 1024


def main() -> None:
    """A row a machine."""
    source = np.random.default_rng(0)
    ternary = (source.integers(-1, 2, (INNER, COLUMNS)) * 0.5).astype(np.float32)
    dense = source.standard_normal((INNER, COLUMNS)).astype(np.float32)
    pruned = np.where(np.abs(dense) > 1.64, dense, np.float32(0))
    print("multiplier-cycles a second, median of rounds (lowest…highest)")
    for name, weights, places in (
        ("systolic", dense, lambda machine: machine.rows * machine.columns),
        ("tereffic", ternary, lambda machine: machine.lanes),
        ("nexus", pruned[:128, :128], lambda machine: machine.rows * machine.columns),
    ):
        rates = _rates(name, weights, places)
        print(
            f"  {name:<10} {statistics.median(rates) / 1e6:8.1f} M ({min(rates) / 1e6:.1f}…{max(rates) / 1e6:.1f})"
        )


def _rates(name: str, weights: Array, places: Callable[..., int]) -> list[float]:
    machine = accelerator(name)
    inner, columns = weights.shape
    x, w = Operand("x", "float32", (ROWS, inner)), Operand("w", "float32", weights.shape, lambda: weights)
    task = machine.compiled(Call("y", "MatMul", (x, w), (Operand("y", "float32", (ROWS, columns)),)))
    data = {"x": np.random.default_rng(1).standard_normal((ROWS, inner)).astype(np.float32)}
    machine.run(task, data)  # compiles loops
    found = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        ran = machine.run(task, data)
        found.append(ran.cycles * places(machine) / (time.perf_counter() - begun))
    return found


if __name__ == "__main__":
    main()

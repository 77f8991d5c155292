"""What must be so of the machine whatever it gains: shares that are known, a split that is none, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import InputError, PlanError
from shoal.machines.accelerators import Array, Call, Operand, accelerator
from shoal.machines.accelerators._photonic_values import sums
from shoal.machines.accelerators.photonic_attention import KINDS, PhotonicAttention
from shoal.study import Bench, Finding

if TYPE_CHECKING:
    from shoal.study._hyatten_network import Network

SIDE = 480
BOARDS = """
    [devices.pi]
    board = "raspberry-pi-4b-4gb"
    [devices.card]
    board = "photonic-attention"
    [default_link]
    bandwidth = "64 Gbit/s"
    latency = "2 us"
"""
UNIT, ENGINE = "card/light", "simulated:machine=photonic_attention"
WRONG = {
    "low_bits=9": "low_bits from 2 to 8",
    "encoding_noise=-0.1": "encoding_noise -0.1",
    "wavelengths=0": "wavelengths 0",
}


def shapes(machine: PhotonicAttention, seed: int) -> Iterator[Finding]:
    """Small results of operands of four bits of known shapes."""
    source = np.random.default_rng(seed)
    quiet = replace(machine, operand_bits=4, encoding_noise=0.0, additive_noise=0.0)
    most = quiet.conversion.largest
    bell = np.clip(np.rint(source.normal(0, most / 3, (2, SIDE, SIDE))), -most, most)
    for key, drawn in {"bell": bell, "uniform": source.integers(-most, most + 1, (2, SIDE, SIDE))}.items():
        shots = SIDE * SIDE * (SIDE // quiet.wavelengths - 1)
        yield Finding(key, small_percent(quiet, *drawn), "simulated", shots, why="whole operands of the full range")


def small_percent(machine: PhotonicAttention, left: Array, right: Array) -> float:
    """Of whole operands in squares of whole tiles; the first shot is not counted, it holds what sets the scales."""
    left[:, 0], right[0] = machine.conversion.largest, machine.conversion.largest
    highs = sums(
        left[None], right[None], (machine.rows, machine.columns), machine.conversion, (machine.seed,)
    ).highs[:, 1:]
    return float(100 * (1 - highs.sum() / (highs.size * machine.rows * machine.columns)))


def coincide(machine: PhotonicAttention) -> Finding:
    """Values by the converter's formula alone, cycles by counting shots, no part of the split."""
    whole = replace(machine, low_bits=machine.high_bits, encoding_noise=0.0, additive_noise=0.0, start_s=0.0)
    source = np.random.default_rng(machine.seed)
    left, right = source.integers(-127, 128, (30, 24)), source.integers(-127, 128, (24, 30))
    left[:, 0], right[0] = 127, 127  # so that every scale is one
    inputs = (Operand("x", "float32", left.shape), Operand("w", "float32", right.shape))
    task = whole.compiled(Call("y", "MatMul", inputs, (Operand("y", "float32", (len(left), right.shape[1])),)))
    ran = whole.run(task, {"x": left.astype(np.float32), "w": right.astype(np.float32)})
    step = 12 * 127**2 / 128
    parts = [left[:, at : at + 12] @ right[at : at + 12] for at in (0, 12)]
    expected = sum(np.clip(np.rint(part / step), -128, 127) for part in parts) * step
    holds = (
        np.allclose(ran.outputs["y"], expected, rtol=1e-6)
        and ran.cycles == ceil(3 * 3 / whole.cores) * 2
        and not {"mac", "queue", "comparator"} & (set(ran.counters) | set(whole.core_mm2))
        and ran.counters["adc"] == 3 * 3 * 2 * 144
    )
    return Finding(
        "same", bool(holds), "simulated", left.size, why="values against the formula without the machine"
    )


def fleet(bench: Bench, read: Network) -> Finding:
    """MiniLM on a Raspberry Pi beside such a card."""
    from shoal.cost import CostKey
    from shoal.machines.accelerators import VIEWS
    from shoal.plan.costs import costs_of

    costs = costs_of(read.graph, bench.fleet(BOARDS), measure=False)
    finite = np.isfinite(costs.op_seconds(UNIT, ENGINE))
    taken = {op.kind for op, can in zip(read.graph.ops, finite, strict=True) if can}
    refused = [op for op, can in zip(read.graph.ops, finite, strict=True) if not can]
    told = 0
    for op in refused[:8]:
        try:
            costs.estimate(CostKey((op.name,), UNIT, ENGINE))
        except PlanError as fault:
            told += f"unsupported op '{op.name}'" in str(fault) and UNIT in str(fault)
    holds = taken <= {*KINDS, *VIEWS} and "MatMul" in taken and told == len(refused[:8])
    return Finding("fleet", holds, "simulated", len(finite), why=f"taken: {', '.join(sorted(taken))}")


def refusals() -> Finding:
    """Machines that cannot be."""
    told = 0
    for option, words in WRONG.items():
        try:
            accelerator(f"photonic_attention+{option}")
        except InputError as fault:
            told += words in str(fault)
    return Finding("refused", told == len(WRONG), "computed", len(WRONG), why="; ".join(WRONG))

"""What must hold of the array of messages whatever it gains: no deadlock, what skew does, how fast it is simulated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from shoal.errors import LimitError, WorkError
from shoal.machines.nexus import MessageArray, Sparse, numbered, rmat, single, spmspm, spmv, uniform
from shoal.study._nexus_workloads import Workload
from shoal.study.contract import Finding, median_of

SPEED_CYCLES = 100_000


def shallow(workloads: Sequence[Workload], array: MessageArray) -> Finding:
    """Every kernel with FIFOs of one message, and the same values."""
    one = replace(array, depth=1)
    held = [
        each.off(each.run(replace(one, values="float32") if each.values == "float32" else one)) < 1e-6
        for each in workloads
    ]
    return Finding("shallow", all(held), "simulated", len(held), why="one message a FIFO, by virtual networks")


def stuck(array: MessageArray) -> Finding:
    """With one network for all legs, FIFOs that wait in a circle are named."""
    dense = numbered(uniform(96, 96, 0.5))
    try:
        spmspm(replace(array, depth=1, networks=1), dense, dense.dense()[:, :8])
    except WorkError as fault:
        return Finding("stuck", "→" in fault.message, "simulated", 1, why=fault.message[:160])
    return Finding("stuck", False, "simulated", 1, why="it ended")


def too_large(array: MessageArray) -> Finding:
    """A vector larger than all local memories is refused with its name and bytes."""
    size = array.places * array.words
    wide = Sparse((4, size), np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1))
    try:
        spmv(array, wide, np.ones(size))
    except LimitError as fault:
        return Finding("refused", "tensor 'x'" in fault.message, "computed", 1, why=fault.message)
    return Finding("refused", False, "computed", 1)


def skew(array: MessageArray, scale: int, edges: int) -> Iterator[Finding]:
    """What products on the way are worth on a matrix with hubs and on one of the same size without."""
    count = 2**scale
    hubs = rmat(scale, edges)
    for key, matrix in (
        ("skewed", numbered(hubs)),
        ("even", numbered(uniform(count, count, hubs.count / count**2))),
    ):
        ways = [spmspm(replace(array, en_route=each), matrix, matrix).array_cycles for each in (False, True)]
        yield Finding(
            key, ways[0] / ways[1], "simulated", 1, why=f"{matrix.count} non-zeros, A·A, {ways[1]} cycles with it"
        )


def floats(array: MessageArray, matrix: Sparse, seed: int) -> Finding:
    """SpMV in float32 against float64."""
    source = np.random.default_rng(seed)
    values = Sparse(matrix.shape, matrix.row, matrix.column, single(source.standard_normal(matrix.count)))
    x = single(source.standard_normal(matrix.shape[1]))
    found, wanted = spmv(replace(array, values="float32"), values, x).values, values.dense() @ x
    return Finding("floats", float(np.abs(found - wanted).max() / np.abs(wanted).max()), "computed", matrix.count)


def speed(array: MessageArray, rounds: int) -> Finding:
    """Million cycles of processing elements in a second of one core, over about 100 000 cycles of the array."""
    source = np.random.default_rng(0)
    weights = numbered(uniform(256, 256, 0.5))
    columns = source.integers(-9, 10, (256, 13)).astype(np.float64)
    spmspm(array, numbered(uniform(16, 16, 0.5)), columns[:16])  # compiles
    found = []
    for _ in range(rounds):
        begun = perf_counter()
        cycles = spmspm(array, weights, columns).array_cycles
        found.append(cycles * array.places / (perf_counter() - begun) / 1e6)
    return median_of("rate", found, "measured", f"{cycles} cycles of the array, placement and all")

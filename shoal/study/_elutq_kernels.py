"""The kernels of bit planes: against numpy on every path of this machine, for another one, and by the clock."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal import catalog
from shoal.errors import InputError
from shoal.formats import Coded, make, quantise, restored
from shoal.kernels.lowbit import lowbit_paths
from shoal.kernels.ready import Weights, ready
from shoal.study._repository import beside
from shoal.study.contract import Finding, Shown, Table, median_of, untestable

if TYPE_CHECKING:
    from shoal.study._bench import Bench

CHECKED = ("hlq1g64", "hlq2g64", "hlq2g128", "hlq3g64", "hlq4g256", "hlq2")
ROWS, COLUMNS, TOKENS = 96, 1536, 3
DRAWN_ROWS = 64  # of a timed matrix, one below another: speed does not depend on what codes say
CROSS = "aarch64-linux-gnu-g++"
NATIVE = catalog.ROOT / "kernels" / "native" / "lowbit"
OURS = {"2 bits, two planes": "hlq2g128", "2 bits": "int2g128", "ternary": "tern5x8", "4 bits": "int4g32"}
THEIRS = {"float32": "float32", "int8": "int8", "4 bits (MatMulNBits)": "nbits4"}
# A claim: which of ours over which of onnxruntime's.
RATIOS = {
    "fp32": ("2 bits, two planes", "float32"), "int8": ("2 bits, two planes", "int8"), "uniform_int8": ("2 bits", "int8"),
    "ternary": ("ternary", "int8"), "four": ("4 bits", "4 bits (MatMulNBits)"),
}  # fmt: skip


def agreement(seed: int) -> Iterator[Shown]:
    """Every path against the decoded product, and against numpy with activations in the same int8."""
    source = np.random.default_rng(seed)
    x = source.standard_normal((TOKENS, COLUMNS)).astype(np.float32)
    off, apart = [], []
    for name in CHECKED:
        form = make(name)
        coded = quantise(form, source.standard_normal((ROWS, COLUMNS)).astype(np.float32))
        matrix = ready(form, coded)
        assert matrix is not None
        exact, plain = x @ restored(form, coded).T, matrix.product(x, "numpy")
        for path in lowbit_paths():
            found = matrix.product(x, path)
            off.append(100 * float(np.linalg.norm(found - exact) / np.linalg.norm(exact)))
            apart.append(float(np.abs(found - plain).max() / np.abs(plain).max()))
    paths = ", ".join(lowbit_paths())
    yield Finding("kernel", max(off), "measured", len(off), (min(off), max(off)), f"interval: all of {paths}")
    yield Finding("paths", max(apart), "measured", len(apart), why=paths)


def other_machine() -> Finding:
    """Whether a cross compiler takes the kernels for 64-bit ARM."""
    source, compiler = NATIVE / "lookup_neon.cpp", shutil.which(CROSS)
    if compiler is None or not source.exists():
        return untestable(
            "neon", f"no {CROSS}, or no sources, here; tests/kernels/test_paths.py runs them where there are"
        )
    command = [compiler, "-std=c++20", "-O2", f"-I{NATIVE}", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return Finding("neon", done.returncode == 0, "measured", why="compiled; the tests run it in an emulator")


def speed(shape: tuple[int, int], threads: tuple[int, ...], rounds: int, bench: Bench) -> Iterator[Shown]:
    """Ours and onnxruntime's in alternating rounds; the first number of threads decides."""
    try:
        lowbit = beside("bench.lowbit")
    except InputError as fault:
        yield from (untestable(key, fault.message) for key in RATIOS)
        return
    rows: list[tuple[str | float, ...]] = []
    found = {each: _seconds(lowbit, shape, each, rounds) for each in bench.each(threads, "speed, threads")}
    for count, (seconds, sizes) in found.items():
        limit = lowbit.limit_bytes_per_s(count)
        for name, some in seconds.items():
            taken = median(some)
            rate = sizes[name] / taken
            rows.append(
                (name, count, 1e3 * taken, 1e3 * min(some), 1e3 * max(some), rate / 1e9, 100 * rate / limit)
            )
    yield Table(
        f"One token times {shape[0]} × {shape[1]}, copies beyond the caches",
        ("product", "threads", "ms", "least", "most", "GB/s", "of memory's limit, %"), rows,
        f"medians of {rounds} alternating rounds; names with a format are ours, the others onnxruntime's",
    )  # fmt: skip
    first = found[threads[0]][0]
    for key, (own, other) in RATIOS.items():
        pairs = zip(first[_named(own)], first[other], strict=True)
        yield median_of(key, [theirs / ours for ours, theirs in pairs], "measured", "rounds")


def _named(own: str) -> str:
    return f"{own}, {OURS[own]}"


def _seconds(
    lowbit: Any, shape: tuple[int, int], threads: int, rounds: int
) -> tuple[Mapping[str, list[float]], Mapping[str, int]]:
    """Of each contender: seconds of one product in each round, and the bytes of a matrix."""
    budget = lowbit.cache_bytes() + (32 << 20)
    contenders = [lowbit.onnxruntimes(name, node, shape, threads, 1, budget) for name, node in THEIRS.items()]
    contenders += [
        lowbit.ours(_named(name), partial(_tall, form, shape), threads, budget) for name, form in OURS.items()
    ]
    x = np.random.default_rng(0).standard_normal((1, shape[1])).astype(np.float32)
    found: dict[str, list[float]] = {each.name: [] for each in contenders}
    for each in contenders:
        each.run(x)
    for _ in range(rounds):
        for each in contenders:
            begun = time.perf_counter()
            each.run(x)
            found[each.name].append((time.perf_counter() - begun) / each.copies)
    return found, {each.name: each.bytes for each in contenders}


def _tall(name: str, shape: tuple[int, int]) -> Weights:
    """A matrix of this shape in a format, the same rows again and again."""
    form = make(name)
    coded = quantise(form, np.random.default_rng(1).standard_normal((DRAWN_ROWS, shape[1])).astype(np.float32))
    times = -(-shape[0] // DRAWN_ROWS)
    params = {key: np.concatenate([each] * times)[: shape[0]] for key, each in coded.params.items()}
    made = ready(form, Coded(np.concatenate([coded.codes] * times)[: shape[0]], params))
    assert made is not None
    return made

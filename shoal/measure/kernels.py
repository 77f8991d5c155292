"""Seconds of irregular kernels here, at drawn sizes, in either form of the engine `kernels`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.engines.kernels import KernelSession, KernelStep, limit_threads
from shoal.errors import InputError
from shoal.measure.clocked import clocked
from shoal.record import KernelKind, KernelSample, KernelWork

Array = NDArray[Any]
Span = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """Between which sizes kernels are drawn, evenly on a logarithmic scale, both ends included."""

    rows: Span = (128, 2048)  # attention: the length
    columns: Span = (8, 256)
    inner: Span = (8, 256)  # of gemm; spmm and attention are square
    per_row: Span = (2, 64)  # non-zeros in a row, on average
    window: Span = (16, 256)
    heads: tuple[int, ...] = (1, 2, 4)


def drawn_works(kind: KernelKind, count: int, sizes: Sizes, seed: int = 0) -> tuple[KernelWork, ...]:
    """`count` kernels of one kind within `sizes`, from a seed."""
    rng = np.random.default_rng(seed)

    def one(span: Span) -> int:
        return round(math.exp(rng.uniform(math.log(span[0]), math.log(span[1]))))

    def work() -> KernelWork:
        rows, columns = one(sizes.rows), one(sizes.columns)
        match kind:
            case "spmm":
                return KernelWork(kind, rows, columns, rows, nnz=rows * min(rows, one(sizes.per_row)))
            case "gemm":
                return KernelWork(kind, rows, columns, one(sizes.inner))
            case "attention":
                heads = int(rng.choice(sizes.heads))
                columns = max(heads, columns - columns % heads)
                return KernelWork(kind, rows, columns, rows, window=one(sizes.window), heads=heads)
            case _:
                return KernelWork(kind, rows, columns)

    return tuple(work() for _ in range(count))


def drawn_matrix(rows: int, inner: int, nnz: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """A sparse matrix with exactly `nnz` places, evenly spread: row pointers, columns (int32), values (float32).

    Values are 1/average row, so that repeated products neither grow nor vanish.

    Raises:
        InputError: more non-zeros than places.
    """
    if nnz > rows * inner:
        raise InputError("more non-zeros than places", needed=f"at most {rows * inner}", had=str(nnz))
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, rows * inner, nnz))
    while len(places) < nnz:
        more = rng.integers(0, rows * inner, 2 * (nnz - len(places)) + 16)
        fresh = np.setdiff1d(more, places)
        places = np.sort(np.concatenate([places, rng.permutation(fresh)[: nnz - len(places)]]))
    pointers = np.searchsorted(places, np.arange(rows + 1) * inner).astype(np.int32)
    values = np.full(nnz, rows / max(1, nnz), np.float32)
    return pointers, (places % inner).astype(np.int32), values


def sample_kernels(
    form: Literal["sparse", "dense"],
    works: Sequence[KernelWork],
    device: str,
    *,
    speed: float = 1.0,
    threads: int = 1,
    repeats: int = 5,
    seed: int = 0,
    own_time: bool = False,
) -> tuple[KernelSample, ...]:
    """Measure each of `works` here, for a type of device.

    Args:
        form: of the engine `kernels`.
        works: what to measure.
        device: the type's name in the samples.
        speed: of such a device relative to one of this machine's cores left alone; a worker held to half of a
            core has 0.5. The seconds measured are divided by it.
        threads: that matrix products may use.
        repeats: the median counts.
        seed: of the data.
        own_time: count this thread's time on a core instead of the time that passes, which is the same on a
            quiet machine and steadier on one that others use; only for one thread.

    Raises:
        InputError: own time of several threads, or a speed not above zero.
    """
    if not 0 < speed < math.inf:
        raise InputError("a speed must be above zero", where=device, had=str(speed))
    if own_time and threads != 1:
        raise InputError("own time counts one thread", where=device, had=str(threads))
    limit_threads(threads)
    timer = time.thread_time if own_time else time.perf_counter
    return tuple(
        KernelSample(work, device, _seconds(form, work, repeats, seed, timer) / speed, "measured") for work in works
    )


def _seconds(
    form: Literal["sparse", "dense"], work: KernelWork, repeats: int, seed: int, timer: Callable[[], float]
) -> float:
    session, inputs = _bench(form, work, seed)
    return clocked(lambda: session.run(inputs, {}), repeats, warm_up=1, timer=timer).median_s


def _bench(form: Literal["sparse", "dense"], work: KernelWork, seed: int) -> tuple[KernelSession, dict[str, Array]]:
    """A session of this one kernel, and data for it."""
    rng = np.random.default_rng(seed)

    def floats(*shape: int) -> Array:
        return rng.standard_normal(shape, dtype=np.float32)

    match work.kind:
        case "spmm":
            names = ("pointers", "columns", "values", "x")
            arrays = (*drawn_matrix(work.rows, work.inner, work.nnz, seed), floats(work.inner, work.columns))
            step = KernelStep("spmm", names, "y")
            return KernelSession(form, (step,), {}, ("y",)), dict(zip(names, arrays, strict=True))
        case "gemm":
            step = KernelStep("gemm", ("x",), "y", weights="w")
            weights = {"w": floats(work.inner, work.columns)}
            return KernelSession(form, (step,), weights, ("y",)), {"x": floats(work.rows, work.inner)}
        case "attention":
            step = KernelStep("attention", ("x",), "y", window=work.window, heads=work.heads)
            return KernelSession(form, (step,), {}, ("y",)), {"x": floats(work.inner, 3 * work.columns)}
        case _:
            step = KernelStep("relu", ("x",), "y")
            return KernelSession(form, (step,), {}, ("y",)), {"x": floats(work.rows, work.columns)}

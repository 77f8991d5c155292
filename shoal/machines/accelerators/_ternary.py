"""What engines for ternary weights have in common: the check, packed storage, int8 activations, loads beside computing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.formats import ternary
from shoal.kernels.blocks import whole_numbers
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators.contract import Array, Arrays, Call, Span

Bytes: TypeAlias = NDArray[np.uint8]
Packing: TypeAlias = Literal["5in8", "2", "8"]  # five weights in a byte, four in a byte, one in a byte
KINDS = ("Gemm", "MatMul")
BUFFERS = 2  # one is loaded while the other is computed on


@dataclass(frozen=True, eq=False)
class TernaryProduct:
    """x·W with W of −s, 0 and s."""

    product: Product
    trits: NDArray[np.int8]  # (inputs, outputs): −1, 0, 1
    scale: np.float32  # s

    @property
    def call(self) -> Call:
        """The op."""
        return self.product.call

    @property
    def tensor(self) -> str:
        """The name of W."""
        return weights_name(self.call)

    def activations(self, data: Arrays) -> tuple[Array, Array]:
        """Whole numbers up to ±127, (rows, inputs), and one scale a row; as the packed kernels have them."""
        (values,) = self.product.left(data)
        codes, scales = whole_numbers(values, values.shape[1], 1)
        return codes[:, 0].astype(np.int64), scales

    def outputs(self, sums: Array, scales: Array, data: Arrays) -> dict[str, Array]:
        """What the op gives, from whole sums, (rows, outputs), and the rows' scales."""
        scaled = sums.astype(np.float32) * scales * self.scale
        return self.product.finished(scaled[None], data)


def ternary_product(call: Call, where: str) -> TernaryProduct:
    """`call` as a product with one ternary matrix.

    Args:
        call: a MatMul or Gemm with a constant.
        where: the machine, for the error.

    Raises:
        ModelError: it is another op, or the matrix is no constant or not ternary.
    """
    if call.kind not in KINDS:
        raise ModelError(f"no unit for '{call.kind}'", where=f"{where}, op '{call.name}'", needed=", ".join(KINDS))
    found = product(call, where)
    weights = call.inputs[1]
    if weights is None or not weights.constant or found.batch > 1:
        raise ModelError("no unit for products without one constant matrix", where=f"{where}, op '{call.name}'")
    (values,) = found.right({})
    scale = np.abs(values).max(initial=0.0)
    wrong = ~np.isin(values, (-scale, 0, scale))
    if wrong.any():
        raise ModelError("the weights are not ternary", where=f"{where}, tensor '{weights.name}'",
                         needed=f"-s, 0 or s with one s for the matrix, here {scale:g}",
                         had=f"{float(values[wrong].flat[0]):g}", hint="train it as a ternary layer: docs/ternary.md")  # fmt: skip
    return TernaryProduct(found, np.sign(values).astype(np.int8), np.float32(scale))


def weights_name(call: Call) -> str:
    """Of the matrix, for messages."""
    weights = call.inputs[1]
    return "" if weights is None else weights.name


@dataclass(frozen=True)
class Stored:
    """A way of storing codes 0, 1 and 2, which stand for −1, 0 and 1."""

    weights: int  # in a byte
    write: Callable[[Bytes], Bytes]
    read: Callable[[Bytes], Bytes]  # refuses bytes that stand for no weights

    def bytes(self, count: int) -> int:
        """Of so many weights."""
        return -(-count // self.weights)

    def packed(self, trits: NDArray[np.int8]) -> Bytes:
        """A tile, row after row."""
        return self.write((trits + 1).astype(np.uint8).reshape(-1))

    def unpacked(self, data: Bytes, shape: tuple[int, int]) -> NDArray[np.int8]:
        """The tile again.

        Raises:
            InputError: a byte that stands for no weights.
        """
        codes = self.read(data)[: shape[0] * shape[1]]
        return (codes.astype(np.int8) - np.int8(1)).reshape(shape)


def _fours(codes: Bytes) -> Bytes:
    full = np.pad(codes, (0, -codes.size % 4), constant_values=1).reshape(-1, 4)
    found: Bytes = (full << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1, dtype=np.uint8)
    return found


def _four(data: Bytes) -> Bytes:
    spread: Bytes = (data[:, None] >> np.array([0, 2, 4, 6], np.uint8)) & np.uint8(3)
    return _trits(spread.reshape(-1))


def _trits(codes: Bytes) -> Bytes:
    return ternary.check_ternary(codes.astype(np.float32) - 1)


STORED: Mapping[Packing, Stored] = {
    "5in8": Stored(5, ternary.fives_packed, ternary.fives),
    "2": Stored(4, _fours, _four),
    "8": Stored(1, np.copy, _trits),
}


@dataclass(frozen=True)
class Job:
    """Something that the engine does, in cycles, once what it needs is loaded and the job before is done."""

    what: str
    work: int  # of the engine
    load: int = 0  # of the port; nothing: what it needs is there
    drain: int = 0  # until the next job may begin, which needs what this one gives


@dataclass(frozen=True)
class Streamed:
    """What jobs took."""

    cycles: int
    port: int  # cycles in which something is loaded
    engine: int  # in which something is computed
    spans: tuple[Span, ...]


def streamed(jobs: Sequence[Job], buffers: int = BUFFERS) -> Streamed:
    """Jobs in order: the port loads for the next ones while the engine computes.

    A load begins when the port is free and the buffer that it fills is no longer computed on.
    """
    port = engine = 0
    freed: list[int] = []  # when the engine was done with each load
    spans = []
    for job in jobs:
        begin = engine
        if job.load:
            started = max(port, freed[-buffers] if len(freed) >= buffers else 0)
            port = started + job.load
            spans.append(Span("port", job.what, started, port))
            begin = max(engine, port)
            freed.append(begin + job.work)
        if job.work:
            spans.append(Span("engine", job.what, begin, begin + job.work))
        engine = begin + job.work + job.drain
    return Streamed(engine, sum(job.load for job in jobs), sum(job.work for job in jobs), tuple(spans))


def steady_cycles(jobs: Sequence[Job], buffers: int = BUFFERS) -> float:
    """Of one round where rounds follow each other without an end: the port loads for the next one."""
    return (streamed([*jobs] * 4, buffers).cycles - streamed([*jobs] * 2, buffers).cycles) / 2

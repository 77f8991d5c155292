"""Calls of a framework written down, with the tensors they begin with: what a device can be told to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import InputError

CALLS, TENSORS = "calls.json", "tensors.npz"


@dataclass(frozen=True)
class Call:
    """One call of an operator. Where an argument is a tensor it is {"tensor": its number}."""

    op: str  # "aten.mm.default"
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    results: tuple[int, ...]  # numbers of the tensors it gives
    looks: bool = False  # it gives memory another shape, and does no work on a device


@dataclass(frozen=True, eq=False)
class Calls:
    """Calls in their order."""

    calls: tuple[Call, ...]
    tensors: Mapping[int, NDArray[Any]] = field(repr=False)  # what is there at first
    output: int  # the number of the tensor that they are for
    values: int  # in it
    stops: tuple[int, ...] = ()  # places among the kernels before which the host read what the device had made

    @property
    def kernels(self) -> tuple[tuple[int, ...], ...]:
        """Places of calls that are launched together: each that does work, with the looks before it."""
        found, looks = [], []
        for place, call in enumerate(self.calls):
            looks.append(place)
            if not call.looks:
                found.append(tuple(looks))
                looks = []
        return (*found[:-1], (*found[-1], *looks)) if found else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The op of each kernel."""
        return tuple(call.op for call in self.calls if not call.looks)


def products(batches: Sequence[int], count: int, width: int, seed: int = 0) -> Calls:
    """For each batch, `count` products of a matrix (batch, width) with one of (width, width), one after another.

    The calls of batch `i` are those from `i · count`. They all take as long, and the values stay of one size.

    Raises:
        InputError: a size below 1.
    """
    if min((*batches, count, width), default=0) < 1:
        raise InputError("no products", needed="sizes from 1", had=f"{list(batches)}, {count}, {width}")
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.standard_normal((width, width)))
    tensors: dict[int, NDArray[Any]] = {0: turn.astype(np.float32)}
    calls: list[Call] = []
    last = 0
    for batch in batches:
        last += 1
        tensors[last] = random.standard_normal((batch, width)).astype(np.float32)
        for _ in range(count):
            calls.append(Call("aten.mm.default", ({"tensor": last}, {"tensor": 0}), {}, (last + 1,)))
            last += 1
    return Calls(tuple(calls), tensors, last, batches[-1] * width)


@dataclass(frozen=True)
class _Written:
    calls: tuple[Call, ...]
    output: int
    values: int
    stops: tuple[int, ...]


def save(work: Calls, folder: Path) -> None:
    """Write calls and tensors into a folder."""
    codec.save(_Written(work.calls, work.output, work.values, work.stops), folder / CALLS)
    codec.save_arrays({str(number): array for number, array in work.tensors.items()}, folder / TENSORS)


def load(folder: Path) -> Calls:
    """What `save` wrote.

    Raises:
        InputError: it is not there or damaged.
    """
    written = codec.load(_Written, folder / CALLS)
    try:
        with np.load(folder / TENSORS, allow_pickle=False) as file:
            tensors = {int(name): file[name] for name in file.files}
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the tensors: {fault}", where=str(folder)) from fault
    return Calls(written.calls, tensors, written.output, written.values, written.stops)

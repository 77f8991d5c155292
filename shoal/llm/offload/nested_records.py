"""Experts in a store whose bits nest: a record for each expert and plane; and their rivals, a record for each width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.compress.nested import LEAST, MOST, PLANES, Nested, alone, joined, plane, plane_of, whole
from shoal.compress.nested_fit import SERVED, WHOLE, Fitting, nested
from shoal.errors import InputError, ModelError
from shoal.llm.experts import blocks, seen
from shoal.llm.library import transformers_module
from shoal.store import Key, Record, write_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.llm.experts import Block, Seen
    from shoal.llm.experts.contract import I64
    from shoal.llm.offload._sites import Site
    from shoal.store.file import Index
    from shoal.store.values import Arrays

Matrices = Mapping[str, Nested]  # of one expert, by the stacked parameter's name
Experts = Mapping[Key, Matrices]  # Key(place among the layers with experts, number of the expert)
STREAM = "|"  # between the names of a matrix and of a stream of its plane


class Layout(Protocol):
    """Which records an expert is made of in so many bits."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The bits that there are."""

    def keys(self, place: int, expert: int, bits: int) -> tuple[Key, ...]:
        """All that has to be held, in the order in which it is worth reading.

        Raises:
            InputError: there are no such bits.
        """

    def matrix(self, held: Sequence[Arrays], bits: int, name: str, shape: tuple[int, int]) -> Nested:
        """One of an expert's, of what is held of it.

        Raises:
            ModelError: something is missing or cut off.
        """


@dataclass(frozen=True)
class Planes:
    """Bits that nest: more bits are more records, and what is held stays of use."""

    widths: tuple[int, ...] = tuple(range(LEAST, MOST + 1))

    def keys(self, place: int, expert: int, bits: int) -> tuple[Key, ...]:
        """See `Layout`."""
        _check(bits, self.widths)
        return tuple(Key(place, expert, number) for number in range(plane_of(bits) + 1))

    def matrix(self, held: Sequence[Arrays], bits: int, name: str, shape: tuple[int, int]) -> Nested:
        """See `Layout`."""
        return joined([_streams(each, name) for each in held[: plane_of(bits) + 1]], shape)


@dataclass(frozen=True)
class Copies:
    """A record for each width, of use for that width alone."""

    widths: tuple[int, ...] = SERVED

    def keys(self, place: int, expert: int, bits: int) -> tuple[Key, ...]:
        """See `Layout`."""
        _check(bits, self.widths)
        return (Key(place, expert, bits),)

    def matrix(self, held: Sequence[Arrays], bits: int, name: str, shape: tuple[int, int]) -> Nested:
        """See `Layout`."""
        return alone(_streams(held[0], name), bits, shape)


def nested_experts(model: nn.Module, symbols: I64, how: Fitting = WHOLE) -> Experts:
    """Every expert of the model in bits that nest.

    Args:
        model: of transformers; stays as it is.
        symbols: (n, places) of text, to know what experts are given.
        how: the codes are found.

    Raises:
        ModelError: no layer has experts of the common kind: stacked, gated, without biases.
    """
    found: dict[Key, Matrices] = {}
    for place, (block, met) in enumerate(zip(blocks(model), seen(model, symbols), strict=True)):
        for expert in range(block.count):
            moments = _moments(block, met, expert)
            found[Key(place, expert)] = {
                name: nested(getattr(block.experts, name).detach()[expert].float().numpy(), square, how)
                for name, square in moments.items()
            }
    return found


def write_planes(experts: Experts, path: Path) -> Index:
    """One record for each expert and plane.

    Raises:
        WorkError: the file cannot be written.
    """
    return write_file(
        ((Key(*key[:2], number), _named({name: plane(each, number) for name, each in matrices.items()}))
         for key, matrices in experts.items() for number in range(PLANES)), path,
    )  # fmt: skip


def write_copies(experts: Experts, path: Path, widths: Sequence[int] = SERVED) -> Index:
    """One record for each expert and width: the same values, nothing shared.

    Raises:
        WorkError: the file cannot be written.
    """
    return write_file(
        ((Key(*key[:2], bits), _named({name: whole(each.top(bits)) for name, each in matrices.items()}))
         for key, matrices in experts.items() for bits in widths), path,
    )  # fmt: skip


def check_planes(place: int, site: Site, layout: Layout, records: Mapping[Key, Record], where: str) -> None:
    """Refuse a store that lacks a record, or was written of other matrices.

    Raises:
        ModelError: something is missing, cut off or of another shape; or the experts are of an uncommon kind.
    """
    if site.experts.is_transposed or any(site.stack(name).ndim != 3 for name in site.names):
        raise ModelError(
            "bits that nest are of stacked matrices without biases", where=f"layer {place} of those with experts"
        )
    for expert in range(site.count):
        for bits in layout.widths:
            for key in layout.keys(place, expert, bits):
                if key not in records:
                    raise ModelError(
                        "a plane is missing in the store", where=f"{where}, {key}", hint="write it again"
                    )
                _check_record(records[key], site, where, bits=bits if isinstance(layout, Copies) else 0)


def tensor(found: Nested, like: Tensor) -> Tensor:
    """What the codes stand for, as a matrix of the model's own type."""
    made: Tensor = transformers_module("torch").from_numpy(found.matrix()).to(like.dtype)
    return made


def shape_of(site: Site, name: str) -> tuple[int, int]:
    """Of one expert's matrix."""
    _, rows, columns = site.stack(name).shape
    return rows, columns


def _check_record(record: Record, site: Site, where: str, bits: int) -> None:
    """Names of the matrices and bytes of their codes are those of the model."""
    wide = bits or (LEAST if not record.key.plane else 1)
    parts = {part.name: part for part in record.parts}
    for name in site.names:
        rows, columns = shape_of(site, name)
        part = parts.get(f"{name}{STREAM}codes")
        if part is None or part.bytes != -(-rows * columns * wide // 8):
            raise ModelError("a plane is cut off, or of another model", where=f"{where}, {record.key}",
                             needed=f"{rows} × {columns} codes of {wide} bits of {name}",
                             had="nothing" if part is None else f"{part.bytes} bytes")  # fmt: skip


def _moments(block: Block, met: Seen, expert: int) -> dict[str, NDArray[np.float64]]:
    """Second moments of what an expert's matrices are given."""
    x = met.inputs[(met.chosen == expert).any(-1)].float()
    gate, up = (x @ block.experts.gate_up_proj[expert].detach().T).chunk(2, dim=-1)
    inner = block.experts.act_fn(gate) * up
    return {name: (each.T @ each).double().numpy() for name, each in (("gate_up_proj", x), ("down_proj", inner))}


def _named(matrices: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {
        f"{name}{STREAM}{stream}": array for name, streams in matrices.items() for stream, array in streams.items()
    }


def _streams(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    def found() -> Iterator[tuple[str, NDArray[Any]]]:
        for each, array in arrays.items():
            matrix, _, stream = each.partition(STREAM)
            if matrix == name:
                yield stream, array

    return dict(found())


def _check(bits: int, widths: Sequence[int]) -> None:
    if bits not in widths:
        raise InputError("these bits are not stored", needed=", ".join(map(str, widths)), had=str(bits))

"""Stages as files: a list in JSON, an ONNX file for each stretch, and all codes, scales and offsets in one file.

The device needs no onnx to read them, and maps the codes instead of copying them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.engines._stages import Product, Stage
from shoal.errors import InputError, ModelError
from shoal.kernels.lookup import Lookup
from shoal.kernels.lowbit import LowBit, Plane
from shoal.kernels.trits import Trits

if TYPE_CHECKING:
    from shoal.kernels.ready import Weights

ALIGNMENT_BYTES = 64  # a cache line, and a vector of the kernels


@dataclass(frozen=True)
class Span:
    """An array in the file of codes."""

    offset: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlaneEntry:
    """See `kernels.lowbit.Plane`."""

    bits: int
    group: int
    shape: tuple[int, int]
    zero: int
    codes: Span
    scales: Span
    zeros: Span


@dataclass(frozen=True)
class TritsEntry:
    """See `kernels.trits.Trits`."""

    shape: tuple[int, int]
    codes: Span
    signs: Span
    scales: Span
    by_token: bool = False


@dataclass(frozen=True)
class LookupEntry:
    """See `kernels.lookup.Lookup`."""

    shape: tuple[int, int]
    group: int
    codes: Span
    scales: Span
    zeros: Span


@dataclass(frozen=True)
class ProductEntry:
    """See `_stages.Product`: planes that are added up, or one of the other kinds."""

    input: str
    output: str
    planes: tuple[PlaneEntry, ...] = ()
    offsets: Span | None = None
    trits: TritsEntry | None = None
    lookup: LookupEntry | None = None


@dataclass(frozen=True)
class StageEntry:
    """A stretch by its file, "" for none, and the products after it."""

    stretch: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    products: tuple[ProductEntry, ...] = ()


@dataclass(frozen=True)
class StageFile:
    """The list."""

    codes: str  # the file, "" for none
    stages: tuple[StageEntry, ...] = field(default=())


def write(stages: Sequence[Stage], folder: Path, stem: str) -> tuple[str, ...]:
    """Write `stages`; the names of the files, the list first."""
    from shoal.graph import access, save

    files, entries, codes = [f"{stem}.stages.json"], [], f"{stem}.codes"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / codes).open("wb") as file:
        for number, stage in enumerate(stages):
            products = tuple(
                replace(_written(each.weights, file), input=each.input, output=each.output)
                for each in stage.products
            )
            if stage.stretch is None:
                entries.append(StageEntry(products=products))
                continue
            name = f"{stem}.{number}"
            save(stage.stretch, folder / f"{name}.onnx")
            files += [each for each in (f"{name}.onnx", f"{name}.weights") if (folder / each).exists()]
            inputs, outputs = (
                tuple(access.name(value) for value in some)
                for some in (stage.stretch.graph.inputs, stage.stretch.graph.outputs)
            )
            entries.append(StageEntry(f"{name}.onnx", inputs, outputs, products))
        size = file.tell()
    if size:
        files.append(codes)
    else:
        (folder / codes).unlink()
    codec.save(StageFile(codes if size else "", tuple(entries)), folder / files[0])
    return tuple(files)


def read(path: Path, there: Mapping[str, Path], where: str) -> tuple[tuple[StageEntry, tuple[Product, ...]], ...]:
    """The stages of the list in `path`, their weights mapped.

    Args:
        path: the list.
        there: the other files, by name.
        where: for the error.

    Raises:
        ModelError: a file is missing, damaged or cut short.
    """
    try:
        listed = codec.load(StageFile, path)
    except InputError as fault:
        raise _damaged(f"cannot load '{path.name}': {fault.what}", where) from fault
    named = (listed.codes, *(each.stretch for each in listed.stages))
    missing = [name for name in named if name and name not in there]
    if missing:
        raise _damaged(f"it has no file '{missing[0]}'", where)
    data: NDArray[np.uint8] = np.zeros(0, np.uint8)
    if listed.codes:
        try:
            data = np.memmap(there[listed.codes], np.uint8, "r")
        except (OSError, ValueError) as fault:
            raise _damaged(f"cannot read '{listed.codes}': {fault}", where) from fault
    return tuple(
        (stage, tuple(Product(each.input, each.output, _matrix(each, data, where)) for each in stage.products))
        for stage in listed.stages
    )


def _damaged(what: str, where: str) -> ModelError:
    return ModelError(what, where=where, hint="deploy the bundle again")


def _written(matrix: Weights, file: BinaryIO) -> ProductEntry:
    """The weights of a product whose tensors are still to be named."""
    match matrix:
        case Trits(shape, codes, signs, scales, by_token):
            spans = (_span(codes, file), _span(signs, file), _span(scales, file))
            return ProductEntry("", "", trits=TritsEntry(shape, *spans, by_token))
        case Lookup(shape, group, codes, scales, zeros):
            spans = (_span(codes, file), _span(scales, file), _span(zeros, file))
            return ProductEntry("", "", lookup=LookupEntry(shape, group, *spans))
        case LowBit(planes, offsets):
            entries = tuple(_plane(each, file) for each in planes)
            return ProductEntry("", "", entries, None if offsets is None else _span(offsets, file))
    raise TypeError(f"no way to write {type(matrix).__name__}")


def _plane(each: Plane, file: BinaryIO) -> PlaneEntry:
    return PlaneEntry(
        each.bits, each.group, each.shape, each.zero,
        _span(each.codes, file), _span(each.scales, file), _span(each.zeros, file),
    )  # fmt: skip


def _span(array: NDArray[Any], file: BinaryIO) -> Span:
    file.write(bytes(-file.tell() % ALIGNMENT_BYTES))
    found = Span(file.tell(), array.shape)
    file.write(np.ascontiguousarray(array).tobytes())
    return found


def _matrix(entry: ProductEntry, data: NDArray[np.uint8], where: str) -> Weights:
    def arrays(kind: type[np.generic], *spans: Span) -> Iterator[NDArray[Any]]:
        return (_array(each, data, kind, where) for each in spans)

    try:
        match entry:
            case ProductEntry(trits=TritsEntry() as given):
                codes, signs = arrays(np.uint8, given.codes, given.signs)
                (scales,) = arrays(np.float32, given.scales)
                return Trits(given.shape, codes, signs, scales, given.by_token)
            case ProductEntry(lookup=LookupEntry() as given):
                (codes,) = arrays(np.uint8, given.codes)
                return Lookup(given.shape, given.group, codes, *arrays(np.float16, given.scales, given.zeros))
        return _planes(entry, data, where)
    except ModelError:
        raise
    except InputError as fault:
        raise ModelError(f"the weights of '{entry.output}' make no sense: {fault.what}", where=where) from fault


def _planes(entry: ProductEntry, data: NDArray[np.uint8], where: str) -> LowBit:
    planes = tuple(
        Plane(
            each.bits, each.group, each.shape, _array(each.codes, data, np.uint8, where),
            _array(each.scales, data, np.float16, where), _array(each.zeros, data, np.uint8, where), each.zero,
        )
        for each in entry.planes
    )  # fmt: skip
    if not planes or any(each.shape != planes[0].shape or min(each.shape) < 1 for each in planes):
        raise ModelError(f"the weights of '{entry.output}' make no sense", where=where)
    return LowBit(planes, None if entry.offsets is None else _array(entry.offsets, data, np.float32, where))


def _array(span: Span, data: NDArray[np.uint8], kind: type[np.generic], where: str) -> NDArray[Any]:
    """The array that stands there, not copied."""
    size = prod(span.shape) * np.dtype(kind).itemsize
    if min(span.shape, default=0) < 0 or not 0 <= span.offset <= span.offset + size <= data.size:
        raise ModelError("its codes are cut short", where=where, needed=f"{span.offset + size} bytes",
                         had=f"{data.size} bytes", hint="deploy the bundle again")  # fmt: skip
    found: NDArray[Any] = data[span.offset : span.offset + size].view(kind).reshape(span.shape)
    return found

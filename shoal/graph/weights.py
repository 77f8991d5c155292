"""Where weights come from: inline, mapped from external data, or made by a recipe when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shoal.errors import ModelError
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx_ir as ir

CHUNK_BYTES = 1 << 20


def array(graph: Graph, name: str) -> npt.NDArray[np.generic]:
    """The values of the weight `name`, read or made now; nothing is kept.

    Raises:
        ModelError: the graph has no such weight.
    """
    value = graph.model.graph.initializers.get(name)
    if value is None or value.const_value is None:
        raise ModelError(f"no weight is called '{name}'", where=graph.source)
    return value.const_value.numpy()


def lazy(make: Callable[[], npt.NDArray[np.generic]], dtype: ir.DataType, shape: tuple[int, ...]) -> ir.LazyTensor:
    """A tensor that `make` fills each time it is read."""
    import onnx_ir as ir

    return ir.LazyTensor(lambda: ir.Tensor(make(), dtype=dtype), dtype=dtype, shape=ir.Shape(shape))


def attach(model: ir.Model, file: Path) -> None:
    """Point every external tensor at its file beside `file`, and refuse tensors that are not whole.

    A location may not leave the model's folder; links inside that folder are the user's own and followed.

    Raises:
        ModelError: a data file is missing, too short or outside the folder; inline data is cut short.
    """
    import onnx_ir as ir

    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = _attached(value.const_value, file)
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if attribute.type == ir.AttributeType.TENSOR:
                    node.attributes[name] = ir.AttrTensor(name, _attached(attribute.value, file))


def _attached(tensor: ir.TensorProtocol, file: Path) -> ir.TensorProtocol:
    import onnx_ir as ir

    if isinstance(tensor, ir.ExternalTensor):
        return _attach_external(tensor, file)
    if isinstance(tensor, ir.serde.TensorProtoTensor):
        _check_inline(tensor, str(file))
    return tensor


def external_files(model: ir.Model) -> tuple[Path, ...]:
    """The data files the model's weights are mapped from, sorted."""
    import onnx_ir as ir

    found = {Path(tensor.path) for tensor in _tensors(model) if isinstance(tensor, ir.ExternalTensor)}
    return tuple(sorted(found))


def digest(file: Path, data: tuple[Path, ...]) -> str:
    """SHA-256 of the model file followed by its external data files, as hexadecimal."""
    whole = hashlib.sha256(_digest_of(file))
    for path in data:
        whole.update(_digest_of(path))
    return whole.hexdigest() if data else _digest_of(file).hex()


def _digest_of(path: Path) -> bytes:
    state = path.stat()
    return _digest_cached(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _digest_cached(path: str, _mtime_ns: int, _size: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _tensors(model: ir.Model) -> Iterator[object]:
    import onnx_ir as ir

    for graph in model.graphs():
        for value in graph.initializers.values():
            yield value.const_value
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.TENSOR:
                    yield attribute.value


def _attach_external(tensor: ir.ExternalTensor, file: Path) -> ir.ExternalTensor:
    import onnx_ir as ir

    location = PurePosixPath(str(tensor.location))
    if location.is_absolute() or ".." in location.parts:
        raise ModelError(
            f"weight '{tensor.name}' keeps its data outside the model's folder, in '{location}'",
            where=str(file),
        )
    path = file.parent / location
    if not path.is_file():
        raise ModelError(
            f"the external data file '{location}' of weight '{tensor.name}' is missing",
            where=str(file),
            hint=f"put it at {path}",
        )
    needed = (tensor.offset or 0) + tensor.nbytes
    had = path.stat().st_size
    if had < needed:
        raise ModelError(
            f"the external data file '{location}' ends before weight '{tensor.name}' does",
            where=str(file),
            needed=f"{needed} bytes",
            had=f"{had} bytes",
        )
    # onnx-ir refuses links out of the base folder, which is how download caches keep files; with an absolute
    # location and no base it does not. What the file asked for was checked above.
    return ir.ExternalTensor(
        str(path.absolute()),
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=tensor.name,
    )


def _check_inline(tensor: ir.serde.TensorProtoTensor, where: str) -> None:
    import onnx

    proto = tensor.raw
    if proto.data_type not in onnx.TensorProto.DataType.values() or not proto.data_type:
        raise ModelError(f"weight '{proto.name}' is of no type ONNX knows", where=where, had=str(proto.data_type))
    if any(size < 0 for size in proto.dims):
        raise ModelError(f"weight '{proto.name}' has a negative dimension", where=where)
    if not proto.HasField("raw_data"):
        _check_typed(tensor, where)
        return
    needed = (prod(proto.dims) * tensor.dtype.bitwidth + 7) // 8
    if len(proto.raw_data) != needed:
        raise ModelError(
            f"the data of weight '{proto.name}' is not whole",
            where=where,
            needed=f"{needed} bytes",
            had=f"{len(proto.raw_data)} bytes",
        )


def _check_typed(tensor: ir.serde.TensorProtoTensor, where: str) -> None:
    """Numbers one by one rather than as bytes: they are whole if they can be read."""
    try:
        tensor.numpy()
    except (ValueError, TypeError, OverflowError, AssertionError) as fault:
        raise ModelError(f"the data of weight '{tensor.name}' is not whole: {fault}", where=where) from fault

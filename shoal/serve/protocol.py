"""The Open Inference Protocol (version 2, HTTP) with its binary tensors: bodies to arrays and back.

The protocol is KServe's; Triton and others speak it. https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from shoal import codec
from shoal.catalog import nearest
from shoal.errors import InputError
from shoal.live import Signature
from shoal.serve.faults import Malformed
from shoal.serve.forms import DATATYPES, DTYPES, check, datatype_of, form_of, from_bytes, from_numbers
from shoal.serve.schemas import InferRequest, Tensor

Array = NDArray[Any]

VERSION = "1"
LENGTH_HEADER = "inference-header-content-length"


@dataclass(frozen=True, eq=False)
class Asked:
    """A request read: its arrays, which outputs are wanted (none: all), and which of them as bytes."""

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    id: str | None = None


def read_request(body: bytes, header: str | None, signature: Signature) -> Asked:
    """The request in `body`; `header` says how many bytes of it are JSON, if tensors follow as bytes.

    Raises:
        Malformed: not JSON, not of the protocol's form, or its parts do not add up.
        InputError: a tensor that the model does not take, or an output it does not have.
    """
    size = _json_bytes(header, len(body))
    request = _request(body[:size])
    rest = memoryview(body)[size:]
    inputs: dict[str, Array] = {}
    for tensor in request.inputs:
        if tensor.name in inputs:
            raise InputError(f"input '{tensor.name[:60]}' is given twice")
        inputs[tensor.name], rest = _array(tensor, rest, signature)
    if rest:
        raise Malformed("bytes follow that belong to no input", had=f"{len(rest)} bytes")
    for wanted in request.outputs:
        if wanted.name not in signature.outputs:
            hint = nearest(wanted.name[:60], tuple(signature.outputs))
            raise InputError(f"no output is called '{wanted.name[:60]}'", hint=hint)
    names = tuple(dict.fromkeys(wanted.name for wanted in request.outputs))
    everything = request.parameters.get("binary_data_output") is True
    asked = {wanted.name: wanted.parameters.get("binary_data", everything) is True for wanted in request.outputs}
    binary = frozenset(name for name in names or signature.outputs if asked.get(name, everything))
    return Asked(inputs, names, binary, request.id)


def write_response(model: str, asked: Asked, outputs: Mapping[str, Array]) -> tuple[bytes, int | None]:
    """The body of the answer, and how many bytes of it are JSON if tensors follow."""
    tensors, tail = [], []
    for name in asked.outputs or outputs:
        array = outputs[name]
        known: dict[str, Any] = {
            "name": name,
            "datatype": DATATYPES.get(str(array.dtype), str(array.dtype)),
            "shape": list(array.shape),
        }
        if name in asked.binary:
            data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            tensors.append({**known, "parameters": {"binary_data_size": len(data)}})
            tail.append(data)
        else:
            tensors.append({**known, "data": array.reshape(-1).tolist()})
    answer: dict[str, Any] = {"model_name": model, "model_version": VERSION, "outputs": tensors}
    if asked.id is not None:
        answer["id"] = asked.id
    head = codec.encode(answer)
    return b"".join((head, *tail)), len(head) if tail else None


def example(signature: Signature) -> dict[str, Any]:
    """A request as the model takes it; of a large tensor the data is left out."""
    inputs = []
    for name, form in signature.inputs.items():
        count = int(np.prod(form.shape))
        zero: Any = False if form.dtype == "bool" else 0.0 if "float" in form.dtype else 0
        data: list[Any] = [zero] * count if count <= 32 else []
        inputs.append({"name": name, "shape": list(form.shape), "datatype": datatype_of(form), "data": data})
    return {"id": "1", "inputs": inputs}


def _json_bytes(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not re.fullmatch(r"\d{1,15}", header, re.ASCII) or int(header) > size:
        raise Malformed("the header's length is none of this body", where=LENGTH_HEADER, had=header[:60])
    return int(header)


def _request(text: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate_json(text)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        raise Malformed(f"not an inference request: {first['msg']}", where=place or None) from fault


def _array(tensor: Tensor, rest: memoryview, signature: Signature) -> tuple[Array, memoryview]:
    """The array of one input, and the bytes that are left for the others."""
    name, form = tensor.name, form_of(signature, tensor.name)
    if tensor.datatype not in DTYPES:
        raise InputError(f"no datatype is called '{tensor.datatype}'", hint=nearest(tensor.datatype, DTYPES))
    dtype = DTYPES[tensor.datatype]
    check(name, dtype, tensor.shape, form)
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return from_numbers(name, tensor.data, tensor.shape, dtype), rest
    if type(size) is not int or not 0 <= size <= len(rest) or tensor.data is not None:
        raise Malformed(
            "binary_data_size is none of this body", where=f"input '{name}'", had=f"{len(rest)} bytes left"
        )
    return from_bytes(name, rest[:size], tensor.shape, dtype), rest[size:]

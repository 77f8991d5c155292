"""Products with coded weights as onnxruntime's MatMulNBits, which computes on the codes.

onnxruntime joins DequantizeLinear and MatMul itself, but not everywhere (1.31: not where a Relu and another such product
follow); what it does not join is decoded anew for every item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "com.microsoft"
LEAST_BLOCK = 16
FLOAT32 = 1  # the op's level of accuracy that leaves activations as they are
ROW_BLOCK = 128  # columns that share a scale where a whole row does in the model
_BITS = {"INT4": 4, "UINT4": 4, "INT8": 8, "UINT8": 8}


@dataclass(frozen=True, eq=False)
class CodedWeight:
    """What MatMulNBits takes: unsigned codes, (rows, columns), scales and zeros (rows, blocks)."""

    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zeros: NDArray[np.uint8]
    bits: int
    block: int
    whole: bool  # one scale a row in the model


def onnxruntime_form(model: ir.Model, accuracy: int = 4) -> ir.Model:
    """`model` as onnxruntime is to run it: products of decoded weights as one op, formats it does not know decoded; in place.

    Args:
        model: its weights may be shared with others; they are not changed.
        accuracy: see `join`.
    """
    from shoal.graph import decode

    return join(decode.unpacked(standard(model)), accuracy)


def join(model: ir.Model, accuracy: int) -> ir.Model:
    """`model` with each product of a decoded constant as one op on its codes, where there is such an op; in place.

    Activations that the model itself rounds are not rounded again: onnxruntime multiplies their codes with a whole row's
    as they are, and what has other weights reads them as float32.

    Args:
        model: its weights may be shared with others; they are not changed.
        accuracy: of activations: 1 is float32, 4 whole numbers of eight bits, block by block, which is fastest.
    """
    import onnx_ir as ir

    for node in list(model.graph):
        decode = node.inputs[1].producer() if node.op_type == "MatMul" and node.inputs[1] is not None else None
        found = coded(decode) if decode is not None and decode.op_type == "DequantizeLinear" else None
        rounded = _is_decoded(node.inputs[0]) if node.inputs else False
        if found is None or (rounded and found.bits == 8 and found.whole):
            continue
        out = node.outputs[0]
        made = ir.node(
            "MatMulNBits",
            [node.inputs[0], *_weights(model, f"{out.name}.nbits", found)],
            {"K": found.codes.shape[1], "N": found.codes.shape[0], "bits": found.bits, "block_size": found.block,
             "accuracy_level": FLOAT32 if rounded else accuracy},
            domain=DOMAIN, name=node.name,
        )  # fmt: skip
        new, name = made.outputs[0], out.name
        new.type, new.shape = out.type, out.shape
        model.graph.insert_before(node, made)
        ir.convenience.replace_all_uses_with(out, new, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
        new.name = name
        model.opset_imports[DOMAIN] = 1
    _drop_unread(model)
    return model


def standard(model: ir.Model) -> ir.Model:
    """`model` with DequantizeLinear in place of each shoal.Decode of whole numbers, where its opset has it; in place."""
    import onnx_ir as ir

    from shoal.graph import decode, dequantise, tidy

    if model.opset_imports[""] < dequantise.OPSET:
        return model
    for node in [each for each in model.graph if decode.is_decode(each)]:
        packed = decode.packed_of(node)
        if dequantise.fits(packed):
            made = dequantise.node(model, f"{node.outputs[0].name}.standard", packed)
            model.graph.insert_before(node, made)
            ir.convenience.replace_all_uses_with(node.outputs[0], made.outputs[0])
            model.graph.remove(node, safe=True)
    tidy.drop_dead(model.graph)
    return model


def coded(decode: ir.Node) -> CodedWeight | None:
    """The decoded constant in the form that MatMulNBits takes; None if it has none."""
    values = [value.const_value if value is not None else None for value in decode.inputs]
    if values[0] is None or values[1] is None or (len(values) > 2 and values[2] is None):
        return None
    bits = _BITS.get(values[0].dtype.name)
    shape = values[0].shape.numpy()
    if bits is None or len(shape) != 2 or values[1].dtype.name != "FLOAT":
        return None
    columns, rows = shape
    axis = decode.attributes["axis"].value if "axis" in decode.attributes else 1
    block = decode.attributes["block_size"].value if "block_size" in decode.attributes else 0
    scales = values[1].numpy()
    zeros = (
        values[2].numpy().astype(np.int16)
        if len(values) > 2 and values[2] is not None
        else np.zeros_like(scales, np.int16)
    )
    whole = not block
    if block and axis == 0 and block >= LEAST_BLOCK and block & (block - 1) == 0:
        scales, zeros = scales.T, zeros.T
    elif not block and scales.shape in ((), (rows,)) and axis in (1, -1):
        block = ROW_BLOCK
        count = -(-columns // block)
        scales, zeros = (np.repeat(np.broadcast_to(each, rows)[:, None], count, axis=1) for each in (scales, zeros))
    else:
        return None
    shift = 0 if values[0].dtype.name.startswith("U") else 1 << (bits - 1)
    codes = (values[0].numpy().astype(np.int16).T + shift).astype(np.uint8)
    return CodedWeight(
        codes, np.ascontiguousarray(scales, np.float32), (zeros + shift).astype(np.uint8), bits, block, whole
    )


def _is_decoded(value: ir.Value | None) -> bool:
    """Whether the model has whole numbers there, and decodes them."""
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "DequantizeLinear"


def _weights(model: ir.Model, name: str, coded: CodedWeight) -> Iterator[ir.Value]:
    """Codes, scales and zeros as the op has them: (rows, blocks, bytes), flat, and packed by row."""
    rows, columns = coded.codes.shape
    count = -(-columns // coded.block)
    full = np.zeros((rows, count * coded.block), np.uint8)
    full[:, :columns] = coded.codes
    packed = _packed(full, coded.bits).reshape(rows, count, -1)
    zeros = coded.zeros
    if coded.bits == 4 and count % 2:
        zeros = np.concatenate([zeros, np.zeros((rows, 1), np.uint8)], axis=1)
    arrays: tuple[tuple[str, NDArray[Any]], ...] = (
        ("codes", packed), ("scales", coded.scales.reshape(-1)), ("zeros", _packed(zeros, coded.bits).reshape(-1)),
    )  # fmt: skip
    from shoal.graph import access

    for what, array in arrays:
        yield access.constant(model, f"{name}.{what}", array)


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Two codes of four bits in a byte, the first in its lower half."""
    return codes if bits == 8 else codes[:, 0::2] | (codes[:, 1::2] << np.uint8(4))


def _drop_unread(model: ir.Model) -> None:
    """Remove decodes that nothing reads any more, and their constants."""
    for node in list(model.graph):
        out = node.outputs[0]
        if node.op_type == "DequantizeLinear" and not out.uses() and not out.is_graph_output():
            model.graph.remove(node, safe=True)
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]

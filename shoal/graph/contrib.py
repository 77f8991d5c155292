"""Operators beyond ONNX's own that onnxruntime has and decoders are written with: their shapes and what they multiply."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from shoal.graph.access import dims

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN, VERSION = "com.microsoft", 1
ATTENTION = "GroupQueryAttention"


@cache
def register() -> None:
    """Make them known to onnx."""
    from onnx import defs, helper

    schema = defs.OpSchema
    optional = schema.FormalParameterOption.Optional
    floats, whole = "tensor(float)", "tensor(int32)"
    inputs = [("query", floats), ("key", floats), ("value", floats), ("past_key", floats), ("past_value", floats),
              ("seqlens_k", whole), ("total_sequence_length", whole), ("cos_cache", floats), ("sin_cache", floats)]  # fmt: skip
    numbers = {"kv_num_heads": -1, "num_heads": -1, "do_rotary": 0, "rotary_interleaved": 0, "local_window_size": -1,
               "scale": 0.0, "softcap": 0.0, "smooth_softmax": 0}  # fmt: skip
    made = schema(
        ATTENTION, DOMAIN, VERSION, "Attention on keys and values that are kept",
        inputs=[schema.FormalParameter(name, kind, param_option=optional) if at else schema.FormalParameter(name, kind)
                for at, (name, kind) in enumerate(inputs)],
        outputs=[schema.FormalParameter(name, floats) for name in ("output", "present_key", "present_value")],
        attributes=[schema.Attribute(name, helper.make_attribute(name, value)) for name, value in numbers.items()],
    )  # fmt: skip
    made.set_type_and_shape_inference_function(_infer)
    defs.register_schema(made)


def attention_macs(node: ir.Node) -> int:
    """Every query with every place that the cache has room for, or that its window shows: the bound."""
    batch, tokens, width = dims(node.inputs[0])
    window = node.attributes.get_int("local_window_size", -1)
    places = dims(node.inputs[3])[2]
    return 2 * batch * tokens * width * (min(window, places) if window > 0 else places)


def _infer(context: Any) -> None:
    """The answer is as the queries are, what is kept as it was."""
    for output, given in ((0, 0), (1, 3), (2, 4)):
        kind = context.get_input_type(given)
        if kind is not None:
            context.set_output_type(output, kind)

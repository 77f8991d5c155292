"""The script that optimises an ONNX segment for this very processor, run as a process of its own.

Its memory peak is two to three times the weights; a worker must not keep that. Run by path, it imports
nothing of shoal. Arguments: MODEL TARGET; TARGET.json gets what the optimised graph needs at load.
"""

from __future__ import annotations

import json
import sys
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

KEEP_INSIDE_BYTES = 1024  # smaller weights stay in the graph file
_ONE_ROW = {"Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
_NEVER_PACK = {"Conv", "FusedConv", "BatchNormalization", "Add", "Sub", "Mul", "Div", "PRelu", "Gather"}


def optimise(model: str, target: str) -> None:
    """Write `model` optimised as `target`, its weights beside it in `<target>.weights`, mapped at load."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = target
    beside = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{beside}_file_name", f"{target.rpartition('/')[2]}.weights")
    options.add_session_config_entry(f"{beside}_min_size_in_bytes", str(KEEP_INSIDE_BYTES))
    options.add_session_config_entry("session.disable_prepacking", "1")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def packing_helps(model: onnx.ModelProto) -> bool:
    """Whether some weights are worth a second, packed copy in memory.

    Measured: Gemm and MatMul of one row run within 2 % either way, with more rows up to twice as fast packed;
    convolutions have their layout baked in already. Anything else that holds weights is taken to gain.
    """
    graph = model.graph
    weights = {weight.name for weight in graph.initializer if _count(weight.dims) * 4 > KEEP_INSIDE_BYTES}
    rows = {value.name: _rows(value) for value in (*graph.value_info, *graph.input)}
    for node in graph.node:
        if not weights.intersection(node.input) or node.op_type in _NEVER_PACK:
            continue
        if node.op_type not in _ONE_ROW or rows.get(node.input[0]) != 1 or _transposed(node):
            return True
    return False


def _count(dims: list[int]) -> int:
    return prod(dims)


def _rows(value: onnx.ValueInfoProto) -> int:
    """The product of all but the last dimension; 0 if one is open."""
    return prod(dim.dim_value for dim in value.type.tensor_type.shape.dim[:-1])


def _transposed(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "transA" and attribute.i for attribute in node.attribute)


def main() -> int:
    """Optimise and say what the result needs; the exit code is 1 with the reason on stderr."""
    import onnx
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    model, target = sys.argv[1:]
    faults = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile,
              state.NotImplemented, state.RuntimeException)  # fmt: skip
    try:
        optimise(model, target)
    except faults as fault:
        sys.stderr.write(str(fault))
        return 1
    packed = packing_helps(onnx.load(target, load_external_data=False))
    with open(f"{target}.json", "w", encoding="utf-8") as file:
        json.dump({"prepack": packed}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())

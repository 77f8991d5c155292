"""Which ops an engine does while the product before them is still in registers."""

from __future__ import annotations

from shoal.graph import Graph

ACTIVATIONS = frozenset(("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid"))
BEHIND = {  # product -> what follows it for nothing
    "Conv": ACTIVATIONS | {"BatchNormalization", "Mul", "Add", "Sum"},
    "Gemm": ACTIVATIONS,
    "MatMul": frozenset(("Add",)),
}
TWO = frozenset(("Add", "Sum"))  # that may take a second activation; a Mul takes a constant


def fused(graph: Graph) -> dict[str, str]:
    """Op to the tensor that it finds in registers, which nobody else reads.

    As onnxruntime does on a processor: normalisation, constants and one more sum behind a convolution, then an
    activation, with which it ends. [ONNX Runtime documentation: Graph optimizations: Conv Add, Conv Mul, Conv BatchNorm,
    MatMul Add, GEMM Activation and Conv Activation fusion; NCHWc optimizer for the sum]
    """
    heads: dict[str, str] = {}  # tensor in registers -> the kind of product that made it
    found = {}
    for op in graph.ops:
        given = next((name for name in op.inputs if _follows(graph, name, op.kind, heads.get(name, ""))), None)
        if given is not None and len(op.inputs) <= 1 + (op.kind in TWO and heads[given] == "Conv"):
            found[op.name] = given
            if op.kind not in ACTIVATIONS:
                heads[op.outputs[0]] = heads[given]
        elif op.kind in BEHIND:
            heads[op.outputs[0]] = op.kind
    return found


def _follows(graph: Graph, tensor: str, kind: str, head: str) -> bool:
    alone = len(graph.consumers[tensor]) == 1 and tensor not in graph.finals
    return kind in BEHIND.get(head, ()) and alone

"""Where a graph in its order may be cut in two, and what would cross.

After op i every tensor that exists and is still to be read crosses: those made so far, and the graph inputs.
A graph output already made and read by nobody later is finished and does not.

No cut parts what engines run as one: a convolution or matrix product from the normalisation, scaling, bias
and activation that follow it alone, nor a residual sum of such from its activation. Nor does any cut part what
makes a carried tensor from what reads it: the next item would wait for a message of the item before.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.graph.loops import spans
from shoal.graph.values import Graph, Op

HEAVY = frozenset(("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "Gemm", "MatMul", "MatMulInteger"))
AFFINE = frozenset(("Add", "Sub", "Mul", "Div"))
SUMS = frozenset(("Add", "Sum"))
ACTIVATIONS = frozenset(
    (
        *("Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "Tanh"),
        *("HardSigmoid", "HardSwish", "Gelu", "Swish", "Mish", "Softplus", "Softsign"),
    )
)


@dataclass(frozen=True)
class Cut:
    """One place to cut: between the op at index `after` and the next."""

    after: int
    tensors: tuple[str, ...]  # what crosses, in the order it came to be
    bytes: int


def cuts(graph: Graph, multi: bool = False, fused: bool = True) -> tuple[Cut, ...]:
    """The legal cuts of `graph`, by position.

    Args:
        graph: in topological order.
        multi: also those that more than one tensor crosses.
        fused: keep together what engines run as one.
    """
    last = {name: max(readers) for name, readers in graph.consumers.items() if readers}
    glued = _glued(graph) if fused else frozenset()
    inside = {index for span in spans(graph) for index in span}
    alive = dict.fromkeys(name for name in graph.inputs if name in last)
    found = []
    for index, op in enumerate(graph.ops[:-1]):
        alive.update(dict.fromkeys(name for name in op.outputs if name in last))
        for name in op.inputs:
            if last[name] == index:
                alive.pop(name, None)  # what is carried over does not cross
        if index not in inside and alive and (multi or len(alive) == 1) and glued.isdisjoint(alive):
            found.append(Cut(index, tuple(alive), sum(graph.tensors[name].bytes for name in alive)))
    return tuple(found)


def _glued(graph: Graph) -> frozenset[str]:
    """Tensors that stay between two ops which engines run as one."""
    finals = graph.finals
    fusing: set[str] = set()  # tensors made by an op to which a follower may be fused
    glued = set()
    for op in graph.ops:
        alone = [name for name in op.inputs if len(graph.consumers[name]) == 1 and name not in finals]
        partners = [name for name in alone if name in fusing]
        follows = bool(partners) and _follows(op)
        if follows:
            glued.update(partners)
        if op.kind in HEAVY or follows or (partners and op.kind in SUMS):
            fusing.update(op.outputs)
    return frozenset(glued)


def _follows(op: Op) -> bool:
    """Whether `op` only changes the one activation it reads, element by element or channel by channel."""
    single = len(op.inputs) == 1
    return single and (op.kind in ACTIVATIONS or op.kind == "BatchNormalization" or _affine(op))


def _affine(op: Op) -> bool:
    return op.kind in AFFINE and len(op.weights) == 1

"""What one request of a program carries and gets."""

from __future__ import annotations

from shoal.live.values import Signature, TensorForm
from shoal.program import CLIENT, Edge, Program


def signature_of(program: Program) -> Signature:
    """What an item of `program` is started with, and what it answers."""
    inputs = {edge.tensor: _form(program, edge) for edge in program.edges if edge.source == CLIENT}
    outputs = {edge.delivers: _form(program, edge) for edge in program.edges if edge.target == CLIENT}
    return Signature(inputs, outputs)


def _form(program: Program, edge: Edge) -> TensorForm:
    named = tuple(axis for axis, size in enumerate(edge.spec.shape) if not isinstance(size, int))
    return TensorForm(edge.spec.dtype, edge.spec.bound(program.sizes), named)

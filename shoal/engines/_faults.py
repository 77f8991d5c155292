"""What onnxruntime raises, in shoal's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shoal.errors import ModelError


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what onnxruntime raises into a ModelError about `where`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    faults = (state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
              state.NoSuchFile, state.NotImplemented, state.RuntimeException)  # fmt: skip
    try:
        yield
    except faults as fault:
        raise ModelError(f"onnxruntime refuses it: {clause(str(fault))}", where=where) from fault


def clause(text: str) -> str:
    """The one line of an onnxruntime message that says something."""
    lines = text.strip().splitlines() or ["no reason given"]
    return lines[-1].rpartition(" : ")[2] if lines[-1].startswith("[ONNXRuntimeError]") else lines[-1]

"""What onnxruntime raises, in shoal's words. Use: `except faults() as fault: raise refusal(…) from fault`."""

from __future__ import annotations

from functools import cache

from shoal.errors import ModelError


@cache
def faults() -> tuple[type[Exception], ...]:
    """The classes onnxruntime raises, which share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,  # shapes that are not what the segment's program says
        UnicodeDecodeError,  # of a damaged file: the name it wants to complain about is no text
    )


def refusal(text: str, where: str) -> ModelError:
    """The error for what onnxruntime said in `text`: the one line of it that says something."""
    lines = text.strip().splitlines() or ["no reason given"]
    clause = lines[-1].rpartition(" : ")[2] if lines[-1].startswith("[ONNXRuntimeError]") else lines[-1]
    return ModelError(f"onnxruntime refuses it: {clause}", where=where)

"""A Trace as a Chrome trace, for viewers of such files and for `load_chrome`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.measure.trace.values import Trace


def save_chrome(trace: Trace, path: Path) -> None:
    """Write events as torch.profiler does; correlation ids are the places of launches, from 1.

    Raises:
        InputError: the file cannot be written.
    """
    codec.write_bytes(codec.encode({"schemaVersion": 1, "traceEvents": list(_events(trace))}), path)


def _events(trace: Trace) -> Iterator[dict[str, Any]]:
    for operator in trace.operators:
        yield _event("cpu_op", operator.name, operator.thread, operator.begin_s, operator.end_s, {})
    for place, launch in enumerate(trace.launches):
        yield _event(
            "cuda_runtime", launch.name, launch.thread, launch.begin_s, launch.end_s, {"correlation": place + 1}
        )
    for kernel in trace.kernels:
        args = {"correlation": kernel.launch + 1, "stream": kernel.stream}
        yield _event("kernel", kernel.name, kernel.stream, kernel.begin_s, kernel.end_s, args)
    for wait_s in trace.syncs_s:
        yield _event("cuda_runtime", "cudaStreamSynchronize", "host", wait_s, wait_s, {})


def _event(cat: str, name: str, on: str, begin_s: float, end_s: float, args: dict[str, Any]) -> dict[str, Any]:
    pid, _, tid = on.rpartition("/")
    span = {"ts": begin_s * 1e6, "dur": (end_s - begin_s) * 1e6}
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "args": args, **span}

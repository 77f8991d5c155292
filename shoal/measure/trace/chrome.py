"""The Chrome trace that torch.profiler writes (`export_chrome_trace`), read into a Trace.

Events of the categories `cpu_op`, `cuda_runtime` and `cuda_driver`, and `kernel`, `gpu_memcpy` and `gpu_memset` count;
a launch and its kernel have the same `args.correlation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.errors import InputError
from shoal.measure.trace.nesting import with_operators, with_parents
from shoal.measure.trace.values import Kernel, Launch, Operator, Trace

MOST_BYTES = 1 << 30
SKEW_S = 2e-6  # by which clocks of host and device may differ after the profiler's conversion
_RUNTIME = ("cuda_runtime", "cuda_driver")
_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCHES = ("LaunchKernel", "LaunchCooperativeKernel", "GraphLaunch", "MemcpyAsync", "MemsetAsync")
_WAITS = ("Synchronize",)


@dataclass(frozen=True)
class _Event:
    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str = ""
    tid: int | str = ""
    ts: float = 0.0  # µs
    dur: float = 0.0  # µs
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def thread(self) -> str:
        return f"{self.pid}/{self.tid}"


@dataclass(frozen=True)
class _File:
    traceEvents: list[_Event]  # the format's own name


def load_chrome(path: str | Path) -> Trace:
    """The trace in a JSON file.

    Raises:
        InputError: the file cannot be read or is no such trace, it has neither operators nor kernels, kernels lack
            their launches, or clocks of host and device disagree.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise InputError("too large for a trace", where=str(path), needed=f"at most {MOST_BYTES} bytes")
    return _trace([each for each in codec.load(_File, path).traceEvents if each.ph == "X"], str(path))


def _trace(events: Sequence[_Event], where: str) -> Trace:
    device = [each for each in events if each.cat in _DEVICE]
    calls = [each for each in events if each.cat == "cpu_op"]
    runtime = [each for each in events if each.cat in _RUNTIME]
    if not (calls or device):
        raise InputError("a trace without operators and kernels", where=where,
                         hint="export it with torch.profiler's export_chrome_trace")  # fmt: skip
    zero_us = min(each.ts for each in (*calls, *runtime, *device))
    operators = with_parents([Operator(each.name, each.thread, *_span(each, zero_us)) for each in calls])
    known = {_correlation(each, where) for each in device}
    starts = [each for each in runtime if each.args.get("correlation") in known or _is(each, _LAUNCHES)]
    launches = with_operators(
        [Launch(each.name, each.thread, *_span(each, zero_us), _correlation(each, where)) for each in starts],
        operators,
    )
    kernels = _kernels(device, launches, zero_us, where)
    waits = tuple(sorted(_span(each, zero_us)[0] for each in runtime if _is(each, _WAITS)))
    return Trace(operators, launches, kernels, waits)


def _kernels(
    device: Sequence[_Event], launches: Sequence[Launch], zero_us: float, where: str
) -> tuple[Kernel, ...]:
    """Kernels in the order of their beginnings, each with its launch."""
    places = {launch.correlation: place for place, launch in enumerate(launches)}
    lost = sum(_correlation(each, where) not in places for each in device)
    idle = len(places.keys() - {_correlation(each, where) for each in device})
    if lost or idle:
        raise InputError("correlation ids were dropped", where=where, needed="a launch for each kernel, and back",
                         had=f"{lost} kernels without launch, {idle} launches without kernel",
                         hint="profile fewer steps at once, and end with a synchronisation")  # fmt: skip
    found = [
        Kernel(each.name, str(each.args.get("stream", each.tid)), *_span(each, zero_us), places[_correlation(each, where)])
        for each in device
    ]  # fmt: skip
    check_clock(found, launches, where)
    return tuple(sorted(found, key=lambda each: each.begin_s))


def check_clock(kernels: Iterable[Kernel], launches: Sequence[Launch], where: str) -> None:
    """Refuse kernels that begin before they were launched: their times are of another clock.

    Raises:
        InputError: there is one.
    """
    early_s = min((each.begin_s - launches[each.launch].begin_s for each in kernels), default=0.0)
    if early_s < -SKEW_S:
        raise InputError("a kernel begins before its launch: clocks of two hosts", where=where,
                         had=f"{-early_s:.6g} s before", hint="take host and device from one profile of one machine")  # fmt: skip


def _span(event: _Event, zero_us: float) -> tuple[float, float]:
    """Begin and end, seconds since the first event."""
    begin_s = (event.ts - zero_us) * 1e-6
    return begin_s, begin_s + event.dur * 1e-6


def _correlation(event: _Event, where: str) -> int:
    found = event.args.get("correlation")
    if not isinstance(found, int):
        raise InputError("an event without correlation id", where=where, had=event.name[:60])
    return found


def _is(event: _Event, words: Sequence[str]) -> bool:
    return any(word in event.name for word in words)

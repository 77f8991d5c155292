"""Figures of a trace: of a queue in front of a device, or of a CPU that has none.

Source: Vellaisamy et al., "Characterizing and Optimizing LLM Inference Workloads on CPU-GPU Coupled Architectures",
ISPASS 2025 (arXiv 2504.11750).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.measure.trace.values import Trace

TOP = 10
WORKLESS = frozenset(
    f"aten::{name}"
    for name in (
        *("empty", "empty_like", "empty_strided", "resize_", "set_", "new_empty"),
        *("view", "_unsafe_view", "view_as", "reshape", "_reshape_alias", "as_strided", "expand", "expand_as"),
        *(
            "t",
            "transpose",
            "permute",
            "numpy_T",
            "unsqueeze",
            "squeeze",
            "slice",
            "select",
            "narrow",
            "split",
            "chunk",
        ),
        *(
            "alias",
            "detach",
            "detach_",
            "lift_fresh",
            "resolve_conj",
            "resolve_neg",
            "is_nonzero",
            "unbind",
            "flatten",
        ),
    )
)  # they allocate, or give memory another shape

PRODUCTS = frozenset(("aten::addmm", "aten::baddbmm", "aten::addmv"))  # they call a copy, and multiply themselves


@dataclass(frozen=True)
class Share:
    """All calls of one name."""

    name: str
    count: int
    seconds: float


@dataclass(frozen=True)
class QueueMetrics:
    """Of work that a host queues for a device."""

    kernels: int
    tklqt_s: float  # total kernel launch and queuing time: from launch calls to the beginnings of their kernels
    mean_kernel_s: float  # AKD
    latency_s: float  # IL: from the first operator, or launch, to the end of the last kernel
    device_idle_s: float  # the latency less the time in which a kernel ran
    host_idle_s: float  # the latency less the time in which the host was in an operator or a launch
    top: tuple[Share, ...]  # kernels, those that took most first

    @property
    def mean_wait_s(self) -> float:
        """TKLQT of one kernel."""
        return self.tklqt_s / self.kernels


@dataclass(frozen=True)
class HostMetrics:
    """Of work that a CPU does itself: no queue, so no time in one. Kernels are those of `host_kernels`."""

    operators: int
    calls: int  # operators that no other called
    latency_s: float  # from the first beginning to the last end
    inside_s: float  # in operators, of all threads together
    kernels: int
    kernel_s: float  # in them, without what they call
    idle_s: float  # the latency less the time in which an operator ran
    top: tuple[Share, ...]  # operators by time of their own, most first

    @property
    def dispatch_s(self) -> float:
        """Operators less their kernels."""
        return self.inside_s - self.kernel_s

    @property
    def outside_s(self) -> float:
        """What a host spends on all but kernels: dispatch, and between operators."""
        return self.dispatch_s + self.idle_s


def queue_metrics(trace: Trace, top: int = TOP) -> QueueMetrics:
    """TKLQT and its kin.

    Raises:
        InputError: the trace has no launches.
    """
    if not trace.kernels:
        raise InputError("no launch events in this trace", needed="launches and kernels of a device",
                         hint="work of a CPU has no queue: see the host's metrics")  # fmt: skip
    launches = trace.launches
    host = [(each.begin_s, each.end_s) for each in launches]
    host += [(trace.operators[at].begin_s, trace.operators[at].end_s) for at in trace.roots]
    latency_s = max(kernel.end_s for kernel in trace.kernels) - min(begin_s for begin_s, _ in host)
    busy_s = covered_s((kernel.begin_s, kernel.end_s) for kernel in trace.kernels)
    return QueueMetrics(
        kernels=len(trace.kernels),
        tklqt_s=sum(kernel.begin_s - launches[kernel.launch].begin_s for kernel in trace.kernels),
        mean_kernel_s=sum(kernel.seconds for kernel in trace.kernels) / len(trace.kernels),
        latency_s=latency_s,
        device_idle_s=latency_s - busy_s,
        host_idle_s=max(0.0, latency_s - covered_s(host)),
        top=_shares(((kernel.name, kernel.seconds) for kernel in trace.kernels), top),
    )


def host_metrics(trace: Trace, top: int = TOP) -> HostMetrics:
    """Times of operators alone.

    Raises:
        InputError: the trace has no operators.
    """
    if not trace.operators:
        raise InputError("no operators in this trace", hint="profile with ProfilerActivity.CPU")
    roots = [trace.operators[place] for place in trace.roots]
    latency_s = max(each.end_s for each in roots) - min(each.begin_s for each in roots)
    kernels = host_kernels(trace)
    return HostMetrics(
        operators=len(trace.operators),
        calls=len(roots),
        latency_s=latency_s,
        inside_s=sum(each.seconds for each in roots),
        kernels=len(kernels),
        kernel_s=sum(trace.own_s(place) for place in kernels),
        idle_s=latency_s - covered_s((each.begin_s, each.end_s) for each in roots),
        top=_shares(((each.name, trace.own_s(at)) for at, each in enumerate(trace.operators)), top),
    )


def host_kernels(trace: Trace) -> tuple[int, ...]:
    """The places of the operators that compute: they do more than look at memory anew, and leave that to no other."""
    return tuple(
        place
        for place, called in enumerate(trace.children)
        if trace.operators[place].name in PRODUCTS
        or (
            trace.operators[place].name not in WORKLESS
            and all(trace.operators[child].name in WORKLESS for child in called)
        )
    )


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that at least one span (begin, end) covers."""
    total_s, reached_s = 0.0, float("-inf")
    for begin_s, end_s in sorted(spans):
        total_s += max(0.0, end_s - max(begin_s, reached_s))
        reached_s = max(reached_s, end_s)
    return total_s


def _shares(times: Iterable[tuple[str, float]], top: int) -> tuple[Share, ...]:
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for name, each_s in times:
        counts[name] += 1
        seconds[name] += each_s
    ordered = sorted(seconds, key=lambda name: (-seconds[name], name))
    return tuple(Share(name, counts[name], seconds[name]) for name in ordered[:top])

"""Launches in simulated time: a host emits them one after another, a device executes them in that order.

    begin(kernel j) = max(emitted(j) + launch, end(kernel j − 1))

Source: Vellaisamy et al., ISPASS 2025 (arXiv 2504.11750). A simulated queue is a Trace as a measured one is, so that
the same metrics hold for both.
"""

from __future__ import annotations

from collections.abc import Sequence

from shoal.errors import InputError
from shoal.measure.trace import Kernel, Launch, Operator, Trace


def simulate_launches(
    names: Sequence[str], emitted_s: Sequence[float], kernels_s: Sequence[float], launch_s: float
) -> Trace:
    """What becomes of launches.

    Args:
        names: of the kernels.
        emitted_s: when the host launches each, from 0 upwards.
        kernels_s: how long the device works on each.
        launch_s: from a launch to the beginning of its kernel, with nothing before it.

    Raises:
        InputError: nothing to launch, lengths that differ, times that go back, or a time below zero.
    """
    _check(names, emitted_s, kernels_s, launch_s)
    begun_s = [0.0, *emitted_s[:-1]]
    operators = tuple(
        Operator(*each) for each in zip(names, ["host"] * len(names), begun_s, emitted_s, strict=True)
    )
    launches = tuple(Launch("LaunchKernel", "host", at, at, place, place) for place, at in enumerate(emitted_s))
    kernels: list[Kernel] = []
    free_s = 0.0
    for place, (name, at_s, takes_s) in enumerate(zip(names, emitted_s, kernels_s, strict=True)):
        begin_s = max(at_s + launch_s, free_s)
        free_s = begin_s + takes_s
        kernels.append(Kernel(name, "device", begin_s, free_s, place))
    return Trace(operators, launches, tuple(kernels))


def _check(names: Sequence[str], emitted_s: Sequence[float], kernels_s: Sequence[float], launch_s: float) -> None:
    if not 0 < len(names) == len(emitted_s) == len(kernels_s):
        raise InputError("names, launches and kernels differ in number", needed="one each or more",
                         had=f"{len(names)}, {len(emitted_s)}, {len(kernels_s)}")  # fmt: skip
    if min(launch_s, emitted_s[0], *kernels_s) < 0 or list(emitted_s) != sorted(emitted_s):
        raise InputError("launches go back in time", needed="times from 0, none before the one it follows")

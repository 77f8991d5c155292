"""A host and its accelerator as a launch queue: what operators take the one, and kernels the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from shoal.errors import FleetError, InputError
from shoal.fleet import Coupling, Device, Unit
from shoal.measure.queue import Work
from shoal.measure.trace import Trace
from shoal.sim.launch import simulate_launches


@dataclass(frozen=True)
class LaunchSystem:
    """One accelerator of a board. Shares of peaks, and what holds for all boards alike, are inputs."""

    coupling: Coupling
    unit: Unit
    operator_s: float = 8e-6  # what an operator takes a host of speed 1, its launch included
    arithmetic: float = 0.6  # share of the peak that large kernels reach
    bandwidth: float = 0.8  # share of the memory's that they reach
    least_s: float = 1.3e-6  # of a kernel that does nothing (arXiv 2504.11750: 1.2 to 1.4 µs)
    format: str = "bfloat16"  # of the values

    def __post_init__(self) -> None:
        if self.format not in self.unit.peak_flop_per_s or "float32" not in self.unit.peak_flop_per_s:
            raise FleetError(f"no peak for {self.format} and float32", where=self.unit.name)
        if min(self.operator_s, self.arithmetic, self.bandwidth) <= 0 or self.least_s < 0:
            raise InputError("times and shares must be above zero", where="launch system")

    @property
    def host_s(self) -> float:
        """Seconds of one operator on this host."""
        return self.operator_s / self.coupling.host_speed

    def kernel_s(self, work: Work) -> float:
        """Roofline: arithmetic or memory, whichever takes longer, and never less than nothing takes."""
        peak = self.unit.peak_flop_per_s[self.format if work.product else "float32"]
        arithmetic_s = work.flop / (peak * self.arithmetic)
        memory_s = work.moved_bytes / (self.unit.memory_bytes_per_s * self.bandwidth)
        return max(self.least_s, arithmetic_s, memory_s)

    def run(
        self, works: Sequence[Work], copied_bytes: float = 0.0, groups: Sequence[Sequence[int]] | None = None
    ) -> Trace:
        """The launches of `works`, after so many bytes of input have been copied from the host.

        Args:
            works: of a device, in order.
            copied_bytes: of the input.
            groups: places of works that one operator launches as one kernel, which takes as long as they do one after
                another; None: each by itself.

        Raises:
            InputError: there are none.
        """
        launched = groups or [(place,) for place in range(len(works))]
        start_s = self.coupling.copy_s(copied_bytes) if copied_bytes else 0.0
        emitted_s = list(accumulate([start_s + self.host_s, *[self.host_s] * (len(launched) - 1)]))
        kernels_s = [sum(self.kernel_s(works[place]) for place in group) for group in launched]
        names = [works[group[0]].name for group in launched]
        return simulate_launches(names, emitted_s, kernels_s, self.coupling.launch_s)


def launch_system(device: Device, unit: str = "gpu", operator_s: float = 8e-6) -> LaunchSystem:
    """The queue of an accelerator of a board.

    Raises:
        FleetError: no such unit, or nothing is known of how it hangs on its host.
    """
    if device.coupling is None:
        raise FleetError("not known how it hangs on its host", where=device.name, needed="a table [coupling]")
    return LaunchSystem(device.coupling, device.unit(unit), operator_s)

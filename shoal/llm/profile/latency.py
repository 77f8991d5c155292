"""Time of prefill and decode from the configuration and a machine's figures: a roofline for each class of operation.

    time = Σ max(flop / (peak · efficiency), bytes / (bandwidth · efficiency)), or calls · time of a call if that is longer

It is the formula of `shoal.cost.models.roofline`, over classes instead of ops of a graph. Efficiencies are inputs.
[Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.llm.profile.shares import Shares
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point
from shoal.llm.profile.work import CLASSES, COMPUTE, Work, calls, work

UNBOUND = 1e9  # an efficiency that never bounds


@dataclass(frozen=True)
class Efficiency:
    """Shares of the peak and of the bandwidth."""

    arithmetic: float = 1.0
    bandwidth: float = 1.0


@dataclass(frozen=True)
class Machine:
    """What runs the model."""

    name: str
    flop_per_s: float
    bytes_per_s: float
    efficiency: Mapping[str, Efficiency]  # by class
    call_s: float = 0.0  # of one kernel, where it takes less than this
    value_bytes: float = 4

    def seconds(self, subject: Subject, point: Point, decode: bool = False) -> dict[str, float]:
        """By class, calls among them: of a prefill, or of one token after it.

        Raises:
            ModelError: layers of a kind without such a formula.
        """
        found = {
            name: self._roofline(name, each)
            for name, each in work(subject, point, decode, self.value_bytes).items()
        }
        return found | {"calls": self.call_s * calls(subject.architecture)}

    def total_s(self, subject: Subject, point: Point, decode: bool = False) -> float:
        """See `seconds`. Kernels are called while others run: the longer of both counts."""
        found = self.seconds(subject, point, decode)
        return max(found.pop("calls"), sum(found.values()))

    def _roofline(self, name: str, needed: Work) -> float:
        share = self.efficiency[name]
        return max(
            needed.flop / (self.flop_per_s * share.arithmetic), needed.bytes / (self.bytes_per_s * share.bandwidth)
        )


def fitted(name: str, subject: Subject, shares: Shares, prefill_s: float) -> Machine:
    """A machine whose efficiencies give what was measured at one length; its peak is that of the products."""
    needed, part_s = work(subject, shares.point, False, 4), dict.fromkeys(CLASSES, 0.0)
    for told, percent in shares.percent.items():
        part_s[told if told in part_s else "elementwise"] += prefill_s * percent / 100
    rates = {each: (needed[each].flop if each in COMPUTE else needed[each].bytes) / part_s[each] for each in CLASSES
             if part_s[each] and needed[each].bytes}  # fmt: skip
    peak, bandwidth = rates["gemm"], rates["elementwise"]
    found = dict.fromkeys(CLASSES, Efficiency(UNBOUND, UNBOUND)) | {
        each: Efficiency(rate / peak, UNBOUND) if each in COMPUTE else Efficiency(UNBOUND, rate / bandwidth)
        for each, rate in rates.items()
    }
    return Machine(name, peak, bandwidth, found)

"""Language models measured and predicted: latency of prefill and decode, memory, energy, and where the time goes."""

from shoal.llm.profile.curves import between, crossing
from shoal.llm.profile.latency import UNBOUND, Efficiency, Machine, fitted
from shoal.llm.profile.memory import Memory, longest, memory
from shoal.llm.profile.peak import Peak, Trial, peaks
from shoal.llm.profile.shares import Shares, breakdown
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point, Protocol, Timed, sweep
from shoal.llm.profile.whole import Row, profiled

__all__ = [
    "UNBOUND",
    "Efficiency",
    "Machine",
    "Memory",
    "Peak",
    "Point",
    "Protocol",
    "Row",
    "Shares",
    "Subject",
    "Timed",
    "Trial",
    "between",
    "breakdown",
    "crossing",
    "fitted",
    "longest",
    "memory",
    "peaks",
    "profiled",
    "sweep",
]

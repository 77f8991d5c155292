"""What a layer's work over workers has sent and taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from shoal.llm.expert_parallel.experts import I64
from shoal.llm.expert_parallel.messages import Report


@dataclass(frozen=True, eq=False)
class Step:
    """One layer's work: bytes over each link, [from, to], the coordinator last; and what each worker says."""

    layer: int
    sent_bytes: I64  # (workers + 1, workers + 1), all that passed the sockets
    weight_bytes: I64  # of these, experts' weights; between workers
    reports: tuple[Report, ...]
    said: str = ""  # what a limit has kept the balancer from

    @property
    def seconds(self) -> float:
        """Of the slowest worker."""
        return max(each.step_s for each in self.reports)

    @property
    def cpu_s(self) -> float:
        """Of the busiest worker."""
        return max(each.cpu_s for each in self.reports)

    @property
    def peak_bytes(self) -> int:
        """Of the fullest worker, its own experts left out; 0 where nobody counts."""
        return max(each.peak_bytes for each in self.reports)


Note = Callable[[Step], object]


@dataclass(eq=False)
class Traffic:
    """What all layers have sent so far."""

    steps: list[Step] = field(default_factory=list)

    def by_layer(self, layers: int) -> I64:
        """Bytes over each link, (layers, from, to)."""
        size = len(self.steps[0].sent_bytes) if self.steps else 0
        found = np.zeros((layers, size, size), np.int64)
        for step in self.steps:
            found[step.layer] += step.sent_bytes
        return found

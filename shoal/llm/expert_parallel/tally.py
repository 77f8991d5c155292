"""What workers did, in sums that stay small however long they serve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.llm.expert_parallel.experts import I64
from shoal.llm.expert_parallel.steps import Step


@dataclass(frozen=True)
class Done:
    """By one worker."""

    copies: int  # tokens on their way to an expert that it computed
    spilled: int  # of these, for experts of others
    weight_bytes: int  # of others' experts that came to it


class Tally:
    """Sums over steps, of workers that are started anew as well."""

    def __init__(self, workers: int) -> None:
        self.steps, self.said = 0, ""
        self._copies, self._spilled, self._weight_bytes = np.zeros((3, workers), np.int64)
        self.sent_bytes: I64 = np.zeros((workers + 1, workers + 1), np.int64)  # [from, to], the coordinator last

    def note(self, step: Step) -> None:
        """One step more."""
        self.steps += 1
        self.said = step.said or self.said
        self._copies += [each.copies for each in step.reports]
        self._spilled += [each.foreign for each in step.reports]
        self._weight_bytes += step.weight_bytes.sum(0)[:-1]
        self.sent_bytes += step.sent_bytes

    @property
    def workers(self) -> tuple[Done, ...]:
        """What each did."""
        rows = zip(self._copies.tolist(), self._spilled.tolist(), self._weight_bytes.tolist(), strict=True)
        return tuple(Done(*row) for row in rows)

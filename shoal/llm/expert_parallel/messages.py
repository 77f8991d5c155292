"""What the coordinator and its workers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

BALANCERS = "plan/balancers"  # not imported from there: a worker that need not plan starts sooner
OTHER_LEFT = 3  # exit code of a worker that ends because another one did


class Kind(IntEnum):
    """Of a frame."""

    EXPERT = 1  # place of the layer and number; the matrices: hold them
    HUB = 2  # layer, moves, a parcel: answer with its sums
    SHARD = 3  # layer, a balancer by its name, tokens, choices, gates: exchange them among yourselves, answer with theirs
    ANSWER = 4  # values, bytes sent to each worker, bytes of weights among them, figures
    COUNTS = 5  # copies of each expert
    PARCEL = 6  # tokens, and experts' weights
    SUMS = 7


@dataclass(frozen=True)
class Task:
    """What a worker is told at its start."""

    index: int
    workers: int
    sockets: Mapping[int, int]  # file descriptors by party; the party after the last worker is the coordinator
    activation: str
    patience_s: float
    native: tuple[tuple[int, ...], ...]  # worker of each expert, by layer
    copies_per_s: tuple[float, ...] = ()  # of each worker; none: all alike
    transfer_s: float = 0.0  # of an expert's weights, in the same unit of time
    room: tuple[int, ...] = ()  # experts of others that each worker has memory for; none: for all
    core: int = -1  # the one it runs on
    copy_s: float = 0.0  # a copy takes at least so long: emulated
    traced: bool = False  # whether it keeps count of its memory, which takes time


@dataclass(frozen=True, eq=False)
class Report:
    """What a worker says of one layer's work."""

    sent_bytes: NDArray[np.int64]  # to each worker
    weight_bytes: NDArray[np.int64]  # of these
    step_s: float  # from the moment when all workers have their tokens until this one is done
    compute_s: float  # of its experts
    cpu_s: float  # that the process used, whoever else had the processor meanwhile
    copies: int  # that it computed
    foreign: int  # of these, for experts of others
    peak_bytes: int  # most memory taken since the step began; 0 where nobody counts

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """As it travels."""
        figures = np.array(
            [self.step_s, self.compute_s, self.cpu_s, self.copies, self.foreign, self.peak_bytes], np.float64
        )
        return self.sent_bytes, self.weight_bytes, figures

    @classmethod
    def of(cls, sent: NDArray[np.int64], weights: NDArray[np.int64], figures: NDArray[np.float64]) -> Report:
        """What travelled."""
        step_s, compute_s, cpu_s, *counts = figures.tolist()
        return cls(sent, weights, step_s, compute_s, cpu_s, *map(int, counts))

"""What a cost model is: one frozen key in, one Estimate out.

Whoever asks does not know where the answer comes from: a table of measurements, a curve fitted to them, or a
roofline of the board's data sheet. The Estimate's provenance and breakdown tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.record import Estimate, Sample


@dataclass(frozen=True)
class Traffic:
    """The messages around a segment, for one item."""

    received: int = 0  # messages
    sent: int = 0  # messages
    copied_bytes: int = 0  # of those sent, what is copied: others are made where the reader finds them
    border_bytes: int = 0  # of what the segment reads and gives, wherever it comes from and goes


@dataclass(frozen=True)
class CostKey:
    """What is asked: these ops, run as one segment, there."""

    ops: tuple[str, ...]  # names in the graph's order
    unit: str  # "device/unit"
    engine: str = "onnxruntime"
    format: str = "float32"
    operating_point: str = ""
    bindings: tuple[tuple[str, int], ...] = ()  # named sizes and their values
    features: tuple[tuple[str, float], ...] = ()  # of a trace, where the time depends on data
    traffic: Traffic | None = None  # None: the ops alone, without calling them and moving what they need


class Costs(Protocol):
    """Answers about one graph on one fleet."""

    def estimate(self, key: CostKey) -> Estimate:
        """Seconds and dynamic joules (above idle) of one item; bytes resident and at the peak, runtime included.

        Raises:
            PlanError: the unit cannot run one of the ops with that engine or format.
        """

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        """Seconds of each op of the graph on `unit`, shape (number of ops,); inf where it cannot run."""

    def of(self, graph: Graph) -> Costs:
        """Answers about a divided form of the graph, from what is known of the ops its own are parts of."""


class CostModel(Protocol):
    """A technique of `cost/models`."""

    def over(self, graph: Graph, fleet: Fleet, samples: Sequence[Sample]) -> Costs:
        """Answers about `graph` on `fleet`, from what was measured here."""

"""Time between tokens on a board of the catalog: what a token reads, over the memory's bandwidth."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError
from shoal.fleet import board
from shoal.llm import Architecture
from shoal.llm.reasoning.latency import Decode, Latency, Prefill


@dataclass(frozen=True)
class Roofline:
    """A unit of a board, by figures of the catalog. [Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009]

    Raises:
        InputError: an efficiency that is none.
    """

    board: str = "jetson-agx-orin-64gb"
    unit: str = "gpu"
    number: str = "float16"  # format of weights, cache and arithmetic
    value_bytes: float = 2.0
    bandwidth_share: float = 1.0  # of the bandwidth that is reached
    peak_share: float = 1.0  # of the arithmetic
    token_s: float = 0.0  # of each token beside: kernels called

    def __post_init__(self) -> None:
        if not 0 < min(self.bandwidth_share, self.peak_share) <= max(self.bandwidth_share, self.peak_share) <= 1:
            raise InputError("an efficiency above 0 and at most 1 is needed", where=self.board)

    def latency(self, model: Architecture) -> Latency:
        """Formulas of a model there; cache of full attention."""
        unit = board(self.board).unit(self.unit)
        rate, peak = (
            unit.memory_bytes_per_s * self.bandwidth_share,
            unit.peak_flop_per_s[self.number] * self.peak_share,
        )
        cache_bytes = (model.cache_bytes(2048, self.value_bytes) - model.cache_bytes(1024, self.value_bytes)) / 1024
        read_s, flop = read_bytes(model, self.value_bytes) / rate, 2 * model.macs(0)
        pairs = 2 * (model.macs(2048) - model.macs(1024)) / 1024  # flop of a token for each one that it sees
        return Latency(
            Prefill(pairs / 2 / peak, flop / peak, read_s + self.token_s),
            Decode(read_s + self.token_s, flop / peak, cache_bytes / rate),
        )


def read_bytes(model: Architecture, value_bytes: float) -> float:
    """What one token reads of the weights: all but an embedding that is not the head's matrix too."""
    apart = 0 if model.tied else model.vocabulary * model.width
    return value_bytes * (model.active_parameters - apart)

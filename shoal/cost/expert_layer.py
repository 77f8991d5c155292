"""Time and memory of one layer of experts over several accelerators that send to each other through a switch.

Tokens go to the devices of their experts, experts' weights that move go with them over the same links, devices compute, and
answers come back. Each of the three steps ends with its slowest device; a device's link sends and receives at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
PRODUCTS = 3  # of a gated expert: gate, up, down


@dataclass(frozen=True)
class ExpertShape:
    """Of a layer."""

    experts: int
    per_token: int
    width: int
    hidden: int
    weight_bytes: float = 2.0  # of one weight
    value_bytes: float = 2.0  # of one value of a token

    @property
    def expert_bytes(self) -> float:
        """Of one expert's weights."""
        return PRODUCTS * self.width * self.hidden * self.weight_bytes

    @property
    def copy_flops(self) -> float:
        """Of one token in one expert."""
        return 2.0 * PRODUCTS * self.width * self.hidden


@dataclass(frozen=True)
class Accelerator:
    """What one device does; by default about an H200: figures of its data sheet, and how large products have to be."""

    flops_per_s: float = 989e12  # bfloat16, dense
    share: float = 0.6  # of them that large products reach
    memory_bytes_per_s: float = 4.8e12
    link_bytes_per_s: float = 450e9  # each way; 900 GB/s both ways
    link_s: float = 20e-6  # of each exchange, whatever is sent
    launch_s: float = 5e-6  # of each product
    half_rows: float = 128.0  # rows of a product that reaches half of the rate

    def __post_init__(self) -> None:
        rates = self.flops_per_s, self.share, self.memory_bytes_per_s, self.link_bytes_per_s
        if min(rates) <= 0 or min(self.link_s, self.launch_s, self.half_rows) < 0:
            raise InputError("a device has rates above zero", where="accelerator", had=repr(self))

    def expert_s(self, rows: F64, shape: ExpertShape) -> F64:
        """Of so many tokens in one expert: products of rows, or the reading of its weights if that takes longer."""
        products_s = (rows + self.half_rows) * shape.copy_flops / (self.flops_per_s * self.share)
        found = PRODUCTS * self.launch_s + np.maximum(products_s, shape.expert_bytes / self.memory_bytes_per_s)
        answer: F64 = np.where(rows > 0, found, 0.0)
        return answer


@dataclass(frozen=True, eq=False)
class LayerCost:
    """By device."""

    sending_s: float  # tokens and weights, until the last is there
    compute_s: F64
    returning_s: float
    bytes: F64  # of tokens there, experts' weights and what is between their products

    @property
    def seconds(self) -> float:
        """Of the layer."""
        return float(self.sending_s + self.compute_s.max() + self.returning_s)

    @property
    def peak_bytes(self) -> float:
        """Of the fullest device."""
        return float(self.bytes.max())


def layer_cost(
    shape: ExpertShape, device: Accelerator, counts: I64, chunks: I64, native: I64, moves: I64
) -> LayerCost:
    """One pass through a layer.

    Args:
        shape: of the experts.
        device: each of them.
        counts: (devices, experts), copies of each expert among the tokens of each device.
        chunks: (n, 4), expert, device that computes, first and last but one copy of the expert's; sources in order.
        native: (experts,), the device that holds each.
        moves: (n, 3), expert, from, to.

    Raises:
        InputError: chunks that are not all copies.
    """
    devices = len(counts)
    rows, sent = np.zeros((devices, shape.experts)), np.zeros((devices, devices))
    ends = np.cumsum(counts, axis=0)
    for expert, to, start, stop in chunks.tolist():
        rows[to, expert] += stop - start
        low, high = ends[:, expert] - counts[:, expert], ends[:, expert]
        sent[:, to] += np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None)
    if (rows.sum(0) != counts.sum(0)).any():
        raise InputError("chunks are not all copies", needed=str(counts.sum()), had=str(int(rows.sum())))
    tokens = sent * shape.width * shape.value_bytes
    weights = np.zeros_like(sent)
    foreign = np.zeros(devices)
    for _, start, to in moves.tolist():
        weights[start, to] += shape.expert_bytes
        foreign[to] += shape.expert_bytes
    between = (shape.width + shape.hidden) * shape.value_bytes
    held = np.bincount(native, minlength=devices) * shape.expert_bytes
    return LayerCost(
        _exchange_s(device, tokens + weights),
        device.expert_s(rows, shape).sum(1),
        _exchange_s(device, tokens.T),
        rows.sum(1) * between + held + foreign,
    )


def _exchange_s(device: Accelerator, sent: F64) -> float:
    """All at once through a switch: as long as the busiest link's one direction."""
    away = sent * (1 - np.eye(len(sent)))
    if not away.any():
        return 0.0
    return float(device.link_s + max(away.sum(0).max(), away.sum(1).max()) / device.link_bytes_per_s)

"""What training and running a transformer takes of memory and of the way to it, from its sizes alone.

Source: Rajbhandari et al., "ZeRO-Infinity: Breaking the GPU Memory Wall for Extreme Scale Deep Learning", SC 2021,
sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError

STATE_BYTES = (
    20  # of a parameter in training: weight and gradient in two bytes each, four-byte copies and Adam's moments
)


@dataclass(frozen=True)
class Transformer:
    """A stack of blocks whose inner width is four times the width."""

    layers: int
    width: int

    def __post_init__(self) -> None:
        if min(self.layers, self.width) < 1:
            raise InputError("a transformer has layers and a width", had=f"{self}")

    @property
    def parameters(self) -> int:
        """Of the blocks: twelve squares of the width each."""
        return 12 * self.layers * self.width**2

    @property
    def states_bytes(self) -> int:
        """Weights, gradients and Adam's states in training."""
        return STATE_BYTES * self.parameters

    def checkpoints_bytes(self, batch: int, tokens: int, every: int = 1) -> float:
        """Activations kept, in two bytes, one for so many blocks."""
        return 2 * batch * tokens * self.width * self.layers / every


def weights_intensity(batch: int, tokens: int) -> float:
    """Flops for a byte of weights and gradients moved in training."""
    return float(batch * tokens)


def states_intensity(batch: int, tokens: int) -> float:
    """Flops for a byte of Adam's states moved."""
    return batch * tokens / 4


def checkpoints_intensity(width: int, every: int = 1) -> float:
    """Flops for a byte of kept activations moved."""
    return 24.0 * width * every


def efficiency(intensity: float, bytes_per_s: float, flop_per_s: float) -> float:
    """The share of the peak that is left if moving is not hidden: work over work and moving.

    Raises:
        InputError: a figure is not above zero.
    """
    if min(intensity, bytes_per_s, flop_per_s) <= 0:
        raise InputError("intensity, bandwidth and peak are above zero", where="efficiency",
                         had=f"{intensity:g} flop/B, {bytes_per_s:g} B/s, {flop_per_s:g} flop/s")  # fmt: skip
    return intensity * bytes_per_s / (intensity * bytes_per_s + flop_per_s)


def bandwidth_for(share: float, intensity: float, flop_per_s: float) -> float:
    """Bytes a second at which `efficiency` is `share`.

    Raises:
        InputError: no bandwidth gives it.
    """
    if not 0 < share < 1 or min(intensity, flop_per_s) <= 0:
        raise InputError("a share is between 0 and 1", where="bandwidth_for", had=f"{share:g}")
    return share / (1 - share) * flop_per_s / intensity


def owner_s(size: float, slow_bytes_per_s: float, fast_bytes_per_s: float) -> float:
    """One worker reads a parameter over its own slow link and sends it to all."""
    return size / slow_bytes_per_s + size / fast_bytes_per_s


def partitioned_s(size: float, workers: int, slow_bytes_per_s: float, fast_bytes_per_s: float) -> float:
    """Each worker reads its part over its own slow link, and all gather the parts."""
    return size / (workers * slow_bytes_per_s) + size * (workers - 1) / (workers * fast_bytes_per_s)

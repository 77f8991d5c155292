"""What the accelerator does one after another, and how long that takes while weights of the next part are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from shoal.machines.accelerators.contract import Span


@dataclass(frozen=True)
class Stage:
    """A part of the work that has its weights in one buffer."""

    unit: str  # "linear", "attention", …
    name: str
    compute: int  # cycles of the unit and of its ports for features, whichever is slower
    load: int = 0  # cycles of the port for weights, before it can begin
    dsp: float = 0.0  # times that a block multiplies and adds
    bram: float = 0.0  # words of 72 bits of block memory
    feature_bytes: float = 0.0  # from and to memory
    weight_bytes: float = 0.0  # from memory


def spans(stages: Sequence[Stage], buffers: int, memory_bytes_per_cycle: float) -> tuple[Span, ...]:
    """When each stage computes and when its weights are loaded.

    With two buffers the weights of a stage are loaded while the one before computes, and both share the memory; with
    one they are loaded before it computes.
    """
    found, now = [], 0
    free = Stage("", "", 0)
    for stage, following in pairwise([free, *stages, free]):
        busy = max(stage.compute, ceil(stage.feature_bytes / memory_bytes_per_cycle))
        loading = max(following.load, ceil(following.weight_bytes / memory_bytes_per_cycle))
        begin = now if buffers == 2 else now + busy
        if busy:
            found.append(Span(stage.unit, stage.name, now, now + busy))
        if loading:
            found.append(Span("weights", following.name, begin, begin + loading))
        shared = ceil((stage.feature_bytes + following.weight_bytes) / memory_bytes_per_cycle)
        now = max(now + busy, begin + loading, now + shared)
    return tuple(found)


def total(stages: Sequence[Stage]) -> dict[str, float]:
    """Events of all together; "ddr" are bytes of memory."""
    return {
        "dsp": sum(each.dsp for each in stages),
        "bram": sum(each.bram for each in stages),
        "ddr": sum(each.feature_bytes + each.weight_bytes for each in stages),
    }

"""What a Sample is about, as text: the same names for whoever measures and whoever asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from shoal.errors import InputError
from shoal.record import Sample


def op_subject(model: str, op: str) -> str:
    """One op of the graph with identity `model`."""
    return f"op:{model}:{op}"


def segment_subject(model: str, ops: Iterable[str]) -> str:
    """These ops of the graph with identity `model`, run as one segment."""
    return f"segment:{_digest((model, *sorted(ops)))}"


def bench_subject(name: str, work: int) -> str:
    """A bench that does `work` (flop or bytes) each time."""
    return f"bench:{name}:{work}"


def handling_subject(name: str) -> str:
    """A constant of what workers spend beside the ops, as `cost.Handling` names it."""
    return f"handling:{name}"


def bench_rate(sample: Sample) -> float:
    """Flop or bytes a second of a bench's sample, by its first quartile: others on the machine only slow it down.

    Raises:
        InputError: it is not a bench's.
    """
    kind, _, rest = sample.subject.partition(":")
    work = rest.rpartition(":")[2]
    if kind != "bench" or not work.isdigit() or not sample.low_s > 0:
        raise InputError(f"'{sample.subject}' is not the sample of a bench")
    return int(work) / sample.low_s


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

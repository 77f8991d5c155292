"""All of a language model's profile: latency, memory and energy over contexts and batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.errors import ModelError
from shoal.llm.profile.memory import memory
from shoal.llm.profile.peak import Peak, Trial, peaks
from shoal.llm.profile.subject import Subject, ready
from shoal.llm.profile.timing import USUAL, Point, Protocol, Timed, sweep

VALUE_BYTES = 4  # float32


@dataclass(frozen=True)
class Row:
    """At one context and batch."""

    timed: Timed
    peak: Peak
    predicted_bytes: float | None  # None: layers without a formula

    @property
    def fault(self) -> str:
        """Why there are no figures; "" where there are."""
        return self.timed.fault or self.peak.fault


def profiled(subject: Subject, points: Sequence[Point], protocol: Protocol = USUAL) -> tuple[Row, ...]:
    """Time a model and measure its memory. Points that need more memory than is free are not tried.

    Raises:
        InputError: a sequence is longer than the model knows positions.
        MissingExtra: transformers is not installed.
        WorkError: the process measuring died.
    """
    ready([subject], max(each.context for each in points) + protocol.steps)
    needed, most = {point: _needed(subject, point) for point in points}, _free_bytes()
    tried = [point for point in points if (needed[point] or _weights_bytes(subject)) <= most]
    if not tried:
        timed, alone = {}, {}
    else:
        timed = {each.point: each for each in sweep([subject], tried, protocol)}
        limit_bytes = protocol.limit_bytes and protocol.limit_bytes + _weights_bytes(subject)
        trials = [Trial(subject, each, limit_bytes) for each in tried]
        alone = {each.point: each for each in peaks(trials, protocol.threads)}
    fault = f"does not fit: more than {most / 1e9:.3g} GB"
    return tuple(
        Row(
            timed.get(each) or Timed(subject.name, each, fault=fault),
            alone.get(each) or Peak(subject.name, each, fault=fault),
            needed[each],
        )
        for each in points
    )


def _weights_bytes(subject: Subject) -> int:
    return VALUE_BYTES * subject.architecture.parameters


def _needed(subject: Subject, point: Point) -> float | None:
    try:
        return memory(subject, point, VALUE_BYTES).bytes
    except ModelError:
        return None


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""Rounding to the nearest value that the format has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shoal.compress.contract import Seen, Work
from shoal.formats import make, quantise


@dataclass(frozen=True)
class Rtn:
    """Each weight to the nearest value; with samples the scales are fitted to the columns that count."""

    format: str = "int8"

    needs_samples = False

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        form = make(self.format)
        return replace(work, coded=quantise(form, work.weights, seen.importance(group) if seen else None))

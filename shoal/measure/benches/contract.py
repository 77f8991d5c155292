"""What a bench is: threads in, one Sample of known work out."""

from __future__ import annotations

from typing import Protocol

from shoal.record import Sample


class Bench(Protocol):
    """A technique of `measure/benches`; one with an option `level` is run for each cache of the machine."""

    def run(self, threads: int) -> Sample:
        """Measure with `threads` threads; `bench_rate` of the Sample is flop, bytes, values or calls a second."""

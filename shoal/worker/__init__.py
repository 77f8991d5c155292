"""What a device runs: a loop over the ready set, one engine session a segment, and a transport."""

from shoal.worker.clock import Clock, Offset, offset
from shoal.worker.runner import Runner
from shoal.worker.serve import facts_of, heard, load, memory, say, serve, spans_of
from shoal.worker.throttle import Throttle
from shoal.worker.words import answer_of, check_report

__all__ = [
    "Clock",
    "Offset",
    "Runner",
    "Throttle",
    "answer_of",
    "check_report",
    "facts_of",
    "heard",
    "load",
    "memory",
    "offset",
    "say",
    "serve",
    "spans_of",
]

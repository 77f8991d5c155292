"""What a device runs: a loop over the ready set, one engine session a segment, and a transport."""

from shoal.worker.clock import Clock, Offset, offset
from shoal.worker.runner import Runner
from shoal.worker.serve import facts_of, heard, load, memory, say, serve, spans_of

__all__ = ["Clock", "Offset", "Runner", "facts_of", "heard", "load", "memory", "offset", "say", "serve", "spans_of"]

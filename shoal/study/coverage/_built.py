"""`python -m shoal.study.coverage._built`: a prepared decoder run in a process of its own, for its time and memory.

Reads a Way from the file named on the command line and prints a Built.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from shoal import codec, fleet
from shoal.llm.checkpoint import Wanted, prepared
from shoal.llm.checkpoint.kept import Bits
from shoal.llm.service import Request, Room, generating, placed
from shoal.measure.alone import status_bytes

HERE = '[devices.here]\nboard = "this-machine"\ncores = [0]\n'
PROMPT, TOKENS = 16, 32


@dataclass(frozen=True)
class Way:
    """How a model is built."""

    model: str  # folder or GGUF file
    weights: Bits
    context: int  # places

    @property
    def wanted(self) -> Wanted:
        """The same for `prepared`."""
        return Wanted(self.weights, self.context)


@dataclass(frozen=True)
class Built:
    """What it takes."""

    token_s: float  # median
    first_s: float  # of a prompt of 16 tokens
    peak_bytes: int  # resident, Python and libraries included


def main(job_file: str) -> None:
    """Go on with a text, one token after another."""
    way = codec.load(Way, Path(job_file))
    kept, where = prepared(way.model, way.wanted), fleet.loads(HERE)
    with generating(
        lambda lost: placed(kept, where, Room(1), exclude=lost), kept.facts.context, "memory"
    ) as generator:
        at_s = [time.perf_counter()]
        for _ in generator.ask(Request(tuple(range(1, 1 + PROMPT)), min(TOKENS, way.context - PROMPT))):
            at_s.append(time.perf_counter())
    steps = [later - earlier for earlier, later in pairwise(at_s[1:])]
    sys.stdout.buffer.write(codec.encode(Built(median(steps), at_s[1] - at_s[0], status_bytes("VmHWM"))))


if __name__ == "__main__":
    main(sys.argv[1])

"""What an expert takes on one core of this machine, by its tokens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, cycle

import numpy as np

from shoal import codec
from shoal.errors import InputError, WorkError
from shoal.llm.expert_parallel.experts import ACTIVATIONS, F32, Expert
from shoal.llm.expert_parallel.processes import ONE_THREAD
from shoal.measure.clocked import clocked, own_clock
from shoal.measure.watched import like_here
from shoal.plan.experts import Curve

TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
COLD_BYTES = 64 << 20  # of experts that are used in turn: more than caches keep, as in a model
MOST_EXPERTS = 256
REPEATS, LEAST_S, PATIENCE_S = 7, 0.1, 300.0


@dataclass(frozen=True)
class Sizes:
    """Of an expert."""

    width: int
    hidden: int
    activation: str = "silu"


def measured_curve(width: int, hidden: int, activation: str = "silu") -> Curve:
    """Medians of a process of one thread, whose experts are read from memory as those of a model are.

    Raises:
        InputError: no such activation.
        WorkError: the process died, or took too long.
    """
    if activation not in ACTIVATIONS:
        raise InputError("workers do not know this activation", needed=", ".join(ACTIVATIONS), had=activation)
    sizes = codec.encode(Sizes(width, hidden, activation)).decode()
    command = [sys.executable, "-m", "shoal.llm.expert_parallel.curve", sizes]
    try:
        done = subprocess.run(
            command, env=like_here() | ONE_THREAD, capture_output=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as fault:
        raise WorkError("an expert takes too long to measure", needed=f"{PATIENCE_S:g} s at most") from fault
    if done.returncode:
        raise WorkError(f"an expert could not be measured: {''.join(done.stderr.decode().splitlines()[-1:])}")
    seconds = codec.decode(tuple[float, ...], done.stdout, "seconds")
    return Curve(
        tuple(map(float, TOKENS)), tuple(accumulate(seconds, max))
    )  # noise must not make more tokens cheaper


def seconds_of(sizes: Sizes, tokens: tuple[int, ...] = TOKENS) -> Iterator[float]:
    """Of one expert with so many tokens, each in turn; in this process."""
    source, act = np.random.default_rng(0), ACTIVATIONS[sizes.activation]
    shapes = (2 * sizes.hidden, sizes.width), (sizes.width, sizes.hidden)
    size_bytes = 4 * 3 * sizes.hidden * sizes.width
    count = min(MOST_EXPERTS, 1 + COLD_BYTES // size_bytes)
    held = cycle([Expert(*(source.standard_normal(each, np.float32) for each in shapes)) for _ in range(count)])
    for each in tokens:
        x = source.standard_normal((each, sizes.width), np.float32)
        yield clocked(partial(_answered, held, x, act), REPEATS, least_s=LEAST_S, timer=own_clock(1)).median_s


def _answered(held: Iterator[Expert], x: F32, act: Callable[[F32], F32]) -> F32:
    """By the next of many experts, whose weights are in no cache."""
    return next(held).answer(x, act)


if __name__ == "__main__":
    sys.stdout.buffer.write(codec.encode(tuple(seconds_of(codec.decode(Sizes, sys.argv[1].encode(), "sizes")))))

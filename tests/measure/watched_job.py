"""`python -m tests.measure.watched_job`: what `test_watched` has done in a process of its own."""

from __future__ import annotations

import time

from shoal.measure.watched import worked


def main(asked: dict[str, float]) -> int:
    """Take memory, wait, or die."""
    taken = bytearray(int(asked.get("bytes", 0)))
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(asked.get("seconds", 0))
    if "die" in asked:
        raise ValueError("as it was told")
    return sum(taken[::4096][:3])


if __name__ == "__main__":
    worked(main, dict[str, float])

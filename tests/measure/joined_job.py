"""A process that `joined` runs in its tests: it adds, and ends as it is told."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from shoal import catalog
from shoal.measure.joined import worked_together
from shoal.wire.collectives import FAMILY, Group, even


def main(job: dict[str, float], group: Group) -> list[float]:
    array = np.full(int(job.get("size", 10)), job["number"])
    if job.get("die") == 1:
        raise ValueError("as it was told")
    if job.get("die") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(job.get("seconds", 0.0))
    for _ in range(int(job.get("turns", 1))):
        catalog.make(FAMILY, "ring").all_reduce(group, array, even(len(array), group.members))
    return [float(array[0]), float(array[-1]), group.sent_bytes]


if __name__ == "__main__":
    worked_together(main, dict[str, float])

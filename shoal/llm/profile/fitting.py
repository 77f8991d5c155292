"""Memory of the process at hand: a limit on it, and faults that say that the limit was met."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS = Path("/proc/self/status")
TOLD = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "Cannot allocate",
        "could not create a primitive")  # so oneDNN, which has checked before that it can  # fmt: skip


@contextmanager
def limited(limit_bytes: int) -> Iterator[None]:
    """At most so many bytes more than the process has now, for data: files that are mapped do not count. 0: no limit."""
    if not limit_bytes:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (status_bytes("VmData") + limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def lacks_memory(fault: Exception) -> bool:
    """Whether there was not enough memory."""
    return isinstance(fault, MemoryError) or any(each in str(fault) for each in TOLD)


def no_fit(fault: Exception) -> str:
    """What is told of it."""
    first = (str(fault).splitlines() or [""])[0]
    return f"does not fit: {first.rpartition('CPUAllocator: ')[2][:160]}"


def status_bytes(field: str) -> int:
    """A figure of this process's memory: "VmRSS" now, "VmHWM" at most, "VmData" asked for."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0

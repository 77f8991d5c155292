"""The caches of this machine's first core, as the system tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SYSTEM = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Cache:
    """One level that holds data."""

    level: int
    bytes: int  # of one cache of this level
    cores: int  # that share it

    def bytes_of(self, threads: int) -> int:
        """What threads on cores of their own, neighbours first, have of it together."""
        return self.bytes * -(-threads // self.cores)


# Where the system does not tell: as on most processors of the last ten years, the outermost at its smallest.
STATED = (Cache(1, 32 << 10, 1), Cache(2, 256 << 10, 1), Cache(3, 4 << 20, 4))


def caches(folder: Path = SYSTEM) -> tuple[Cache, ...]:
    """The levels that hold data, nearest first; `STATED` where the system does not tell."""
    found = {}
    for place in folder.glob("index*"):
        try:
            level, kind, size, cores = (
                (place / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size", "shared_cpu_list")
            )
            if kind != "Instruction":
                found[int(level)] = Cache(int(level), _bytes(size), _count(cores))
        except (OSError, ValueError):  # some virtual machines list a cache and not its size
            continue
    return tuple(found[level] for level in sorted(found)) or STATED


def _bytes(size: str) -> int:
    """ "32K" or "8M" or "512"."""
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1:])
    count = int(size[:-1]) * unit if unit else int(size)
    if count <= 0:
        raise ValueError("a cache of no size")
    return count


def _count(cores: str) -> int:
    """How many "0-3,8" are."""
    ends = [part.partition("-") for part in cores.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)

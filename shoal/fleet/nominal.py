"""What a machine nobody measured yet can nominally do: `board = "this-machine"` before `shoal probe`.

The figures are computed from the core count, the clock and the vector width that the system reports, on the
low side (one multiply-add pipe); bandwidth and power cannot be read anywhere and are plain estimates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FLOP_PER_CYCLE = (("avx512f", 32), ("fma", 16), ("avx", 8), ("asimd", 8), ("neon", 8), ("sse2", 4))
INT8_DOT_PRODUCT = frozenset(("avx512_vnni", "avx_vnni", "asimddp"))
BYTES_PER_S = 8e9  # one channel of DDR4-2400 at well under half its rate
FALLBACK_HZ = 2e9
IDLE_W, BUSY_W_PER_CORE = 5.0, 5.0


def describe(cores: Sequence[int] | None = None) -> Mapping[str, Any]:
    """This machine as the table of a board file, its CPU counted as `cores` (all it may use if None)."""
    count = len(cores) if cores else len(usable_cores())
    clock, features = _clock_hz(), _features()
    word, width = next(((word, n) for word, n in FLOP_PER_CYCLE if word in features), ("no vectors", 2))
    dot = 4 if features & INT8_DOT_PRODUCT else 1
    peak = count * clock * width
    memory = memory_bytes()
    computed = f"nominal: {count} cores × {clock / 1e9:.2f} GHz × {width} flop/cycle ({word})"
    return {
        "title": "this machine, nominal figures",
        "memory": f"{memory} B",
        "system_memory": f"{memory // 4} B",
        "idle": f"{IDLE_W} W",
        "units": {
            "cpu": {
                "cores": count,
                "bandwidth": f"{BYTES_PER_S / 1e9} GB/s",
                "busy": f"{BUSY_W_PER_CORE * count} W",
                "peak": {"float32": f"{peak} flop/s", "int8": f"{peak * dot} op/s"},
                "engines": ["onnxruntime", *(["ncnn"] if find_spec("ncnn") else []), "native"],
            }
        },
        "sources": {
            "memory": "the system's total, or the control group's limit",
            "system_memory": "estimate: a quarter of the memory",
            "idle": "estimate: not measured",
            "units.cpu.cores": "the cores this process may use",
            "units.cpu.bandwidth": "estimate: one slow memory channel; shoal probe measures it",
            "units.cpu.busy": f"estimate: {BUSY_W_PER_CORE} W a core",
            "units.cpu.peak.float32": computed,
            "units.cpu.peak.int8": f"{computed}, × {dot} for 8-bit dot products",
        },
    }


def usable_cores() -> frozenset[int]:
    """The cores this process may run on."""
    return frozenset(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """The machine's memory, or the control group's limit if that is less."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    return min(total, int(text)) if text.isdigit() else total


def _clock_hz() -> float:
    import psutil

    reported = psutil.cpu_freq()
    if reported is None:
        return FALLBACK_HZ
    return float(reported.max or reported.current) * 1e6 or FALLBACK_HZ


def _features() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(found.partition(":")[2].split())

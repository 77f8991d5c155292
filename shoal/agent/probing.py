"""What this machine is, for its announcement: probed once by each version, in a process of its own.

The benches need libraries that the agent, which stays, does not want in its memory.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import shoal
from shoal import cache, codec
from shoal.errors import LimitError, WorkError
from shoal.fleet import Device
from shoal.units import format_bytes

PROBE_S = 300.0
_MODEL = Path("/proc/device-tree/model")


def described(name: str, memory_limit_bytes: int | None = None) -> Device:
    """This machine as the device `name`; `memory_limit_bytes` instead of what is left beside the system.

    Raises:
        LimitError: the machine has less memory than the limit.
        WorkError: it could not be probed.
    """
    command = [sys.executable, "-m", "shoal.agent.probing"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired as fault:
        raise WorkError(f"this machine could not be probed within {PROBE_S:g} s") from fault
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise WorkError(f"this machine could not be probed: {' '.join(words) or done.returncode}")
    device = replace(codec.decode(Device, done.stdout, "probe"), name=name)
    if memory_limit_bytes is None:
        return device
    if memory_limit_bytes > device.memory_bytes:
        raise LimitError(
            "this machine has less memory than it is to offer", where="--memory",
            needed=format_bytes(memory_limit_bytes), had=format_bytes(device.memory_bytes),
        )  # fmt: skip
    return replace(device, memory_limit_bytes=memory_limit_bytes)


def probed() -> Device:
    """This machine, from an earlier probe by the same version on the same processor, cores, memory and engines."""
    from shoal.fleet.nominal import memory_bytes, usable_cores
    from shoal.measure import machine_id, probe

    facts = (shoal.__version__, machine_id(), sorted(usable_cores()), memory_bytes())
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    file = cache.folder("probes") / f"{key}.json"
    if file.is_file():
        return codec.load(Device, file)
    device = replace(probe().devices[0], board=board())
    codec.save(device, file)
    return device


def board() -> str:
    """What this machine calls itself: the board's name, else the processor's."""
    from shoal.measure import machine_id

    try:
        return _MODEL.read_text(encoding="utf-8", errors="replace").rstrip("\0\n ")
    except OSError:
        return machine_id().partition(" [")[0] or os.uname().machine


if __name__ == "__main__":
    sys.stdout.buffer.write(codec.encode(probed()))

"""How a device is: processor, memory, temperature, disk."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil

from shoal import cache
from shoal.control.values import Vitals, WorkerVitals

_PROCESSOR = ("cpu", "core", "soc", "k10temp", "zenpower", "package")  # in the names of sensors of processors
_BELIEVABLE_C = (-40.0, 150.0)


def vitals(workers: tuple[WorkerVitals, ...]) -> Vitals:
    """How this device is now; the processor's share counts since the latest call. For one thread."""
    memory = psutil.virtual_memory()
    return Vitals(
        time_s=time.time(),
        cpu_share=psutil.cpu_percent() / 100,
        memory_bytes=memory.total - memory.available,
        temperature_c=temperature_c(),
        disk_free_bytes=shutil.disk_usage(_there(cache.folder("parts"))).free,
        workers=workers,
    )


def temperature_c() -> float | None:
    """The hottest sensor of the processor, else of the board; none where the board tells no temperature."""
    least, most = _BELIEVABLE_C
    found = [
        (any(word in f"{chip} {sensor.label}".lower() for word in _PROCESSOR), sensor.current)
        for chip, sensors in psutil.sensors_temperatures().items()
        for sensor in sensors
        if sensor.current is not None and least < sensor.current < most
    ]
    return max(found)[1] if found else None


def _there(path: Path) -> Path:
    """The nearest folder above that exists."""
    return next(each for each in (path, *path.parents) if each.exists())

"""What a device says of itself, and which fleets it belongs to."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from shoal import codec
from shoal.agent.membership import HUB_FILE, Home, found
from shoal.agent.probing import described
from shoal.agent.vitals import temperature_c, vitals
from shoal.control import WorkerVitals
from shoal.errors import InputError, LimitError


def test_vitals_are_those_of_this_machine(tmp_path: Path) -> None:
    vitals(())
    until_s = time.monotonic() + 0.3
    while time.monotonic() < until_s:  # something to see
        pass
    workers = (WorkerVitals("pi/cpu", "00", 0, 1, 0.5),)
    told = vitals(workers)
    assert abs(told.time_s - time.time()) < 5
    assert 0 < told.cpu_share <= 1
    assert 0 < told.memory_bytes < psutil.virtual_memory().total
    assert told.disk_free_bytes > 0
    assert told.workers == workers
    assert told.temperature_c is None or -40 < told.temperature_c < 150


class _Sensor:
    def __init__(self, label: str, current: float | None) -> None:
        self.label, self.current = label, current


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [
        ({}, None),
        ({"cpu_thermal": [_Sensor("", 61.3)], "nvme": [_Sensor("Composite", 70.0)]}, 61.3),
        ({"coretemp": [_Sensor("Core 0", 40.0), _Sensor("Core 1", 44.0)]}, 44.0),
        ({"board": [_Sensor("", 38.0), _Sensor("", None), _Sensor("", -273.0), _Sensor("", 65535.0)]}, 38.0),
    ],
)
def test_the_processors_hottest_sensor_counts(
    sensors: object, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors)
    assert temperature_c() == expected


def test_a_machine_is_probed_once(tmp_path: Path, cache_folder: Path) -> None:
    first = described("pi", 123 << 20)
    assert (first.name, first.memory_limit_bytes) == ("pi", 123 << 20)
    assert first.board not in ("", "this-machine")  # a coordinator must not take it for its own machine
    (kept,) = (cache_folder / "probes").iterdir()
    before = kept.stat().st_mtime_ns
    assert described("nano").units == first.units
    assert kept.stat().st_mtime_ns == before
    with pytest.raises(LimitError, match=r"--memory: this machine has less memory than it is to offer"):
        described("pi", 1 << 50)


def test_the_only_identity_is_found_and_several_are_asked_about(fleets_folder: Path) -> None:
    with pytest.raises(InputError, match="has not joined a fleet yet"):
        found()
    for fleet, name in (("drawer", "pi"), ("drawer", "nano")):
        codec.save(Home("https://127.0.0.1:1"), fleets_folder / fleet / "devices" / name / HUB_FILE)
    with pytest.raises(InputError, match=r"more than once \(had nano of drawer, pi of drawer\)"):
        found()
    assert found("pi") == fleets_folder / "drawer" / "devices" / "pi"
    assert found("pi", "drawer") == found("pi")
    with pytest.raises(InputError, match="has not joined as 'zero'"):
        found("zero")

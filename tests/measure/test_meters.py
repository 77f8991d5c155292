"""Meters: counters read from files laid out as the system does, and stated power times measured time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shoal import catalog
from shoal.measure.meters.model import Model
from shoal.measure.meters.rapl import Rapl


def zone(root: Path, name: str, microjoules: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("10000000\n")
    return folder


@pytest.mark.parametrize("name", catalog.names("measure/meters"))
def test_a_meter_tells_joules_or_that_it_cannot(name: str) -> None:
    meter = catalog.make("measure/meters", name)
    joules = meter.start().stop()
    assert (joules is not None) == meter.available
    assert joules is None or joules >= 0


def test_packages_add_up_and_their_parts_do_not_count_twice(tmp_path: Path) -> None:
    zones = [zone(tmp_path, name, 1_000_000) for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0")]
    reading = Rapl(str(tmp_path)).start()
    for folder in zones:
        (folder / "energy_uj").write_text("3500000\n")
    assert reading.stop() == pytest.approx(5.0)


def test_a_counter_may_begin_anew(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", 9_000_000)
    reading = Rapl(str(tmp_path)).start()
    (folder / "energy_uj").write_text("500000\n")
    assert reading.stop() == pytest.approx(1.5)


def test_without_counters_it_is_unavailable(tmp_path: Path) -> None:
    meter = Rapl(str(tmp_path / "nowhere"))
    assert not meter.available
    assert meter.start().stop() is None


def test_the_model_counts_clock_and_cpu() -> None:
    start_s = time.monotonic()
    reading = Model(idle_w=2.0, core_w=0.0).start()
    time.sleep(0.02)
    joules = reading.stop()
    assert joules is not None
    assert 0.04 <= joules <= 2.0 * (time.monotonic() - start_s)

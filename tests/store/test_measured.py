"""A tier's rate and latency, found by reading it."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.store import Key, MemoryTier, Throttled, TierFigures
from shoal.store.measured import measured


@pytest.mark.serial
@pytest.mark.parametrize("latency_s", [0.0, 0.02])
def test_a_throttled_tier_shows_its_figures(latency_s: float) -> None:
    sizes = (1 << 12, 1 << 19)
    inner = MemoryTier((Key(at), {"w": np.zeros(size, np.uint8)}) for at, size in enumerate(sizes))
    found = measured(Throttled(inner, 1e7, latency_s), 2)
    assert found.read_bytes_per_s == pytest.approx(1e7, rel=0.2)
    assert found.latency_s == pytest.approx(latency_s, abs=0.008)
    assert (found.name, found.size_bytes, found.emulated) == ("memory", sum(sizes), True)


def test_records_of_one_size_show_a_rate_alone() -> None:
    found = measured(Throttled(MemoryTier([(Key(0), {"w": np.zeros(5000, np.uint8)})]), 8192 / 0.02, 0.0))
    assert found.latency_s == 0
    assert found.read_bytes_per_s is not None
    assert found.read_bytes_per_s <= 8192 / 0.02


def test_energy_has_a_source_and_goes_through_a_throttle() -> None:
    tier = MemoryTier([(Key(0), {"w": np.zeros(5000, np.uint8)})])
    tier.figures = TierFigures("memory", energy_j_per_byte=1e-9, energy_source="a meter")
    assert Throttled(tier, 1e6).figures.energy_source == "a meter"
    with pytest.raises(InputError, match="energy and who says so come together"):
        TierFigures("memory", energy_j_per_byte=1e-9)
    with pytest.raises(InputError, match="energy and who says so come together"):
        TierFigures("memory", energy_source="a meter")
    with pytest.raises(InputError, match="takes no such energy"):
        TierFigures("memory", energy_j_per_byte=-1.0, energy_source="a meter")
    with pytest.raises(InputError, match="a rate above zero"):
        TierFigures("memory", size_bytes=-1)

"""A store's record on tiers that are not here: seconds, waiting and joules follow from their figures."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from shoal import catalog
from shoal.program import Hop
from shoal.sim.storage import replayed
from shoal.sim.tiers import known, on_each
from shoal.store import POLICIES, Key, Policy, TensorStore, Tier, TierFigures, Told, Use, write_file
from shoal.store.measured import measured
from shoal.store.remote import RemoteTier
from shoal.wire import hosts
from shoal.wire.network import unavailable
from tests.store.ways import worker

CYCLIC: Policy = catalog.make(POLICIES, "cyclic")
SIZE, LAYERS = 1 << 17, 6
KEYS = [Key(at) for at in range(LAYERS)]
TOLD = Told(
    TierFigures("disk", 1e6), 2 * SIZE, tuple((key, SIZE) for key in KEYS),
    tuple(Use((key,), 2.0 * at, 2.0 * at + 1, 2.0 * at + 2, 0, 0) for at, key in enumerate(KEYS)),
)  # fmt: skip


def test_each_tier_reads_the_same_bytes_in_its_own_time_for_its_own_energy() -> None:
    for figures, found in zip(known(), on_each(TOLD, CYCLIC, known()), strict=True):
        assert found.read_bytes == LAYERS * SIZE
        assert found.tier == replace(figures, size_bytes=LAYERS * SIZE)
        assert found.stall_s == pytest.approx(LAYERS * figures.read_s(SIZE))
        assert found.seconds == pytest.approx(LAYERS + found.stall_s)
        assert found.read_j == pytest.approx(LAYERS * SIZE * figures.energy_j_per_byte)


def test_known_tiers_are_in_the_order_of_their_rates_and_each_says_who_says_so() -> None:
    names = [each.name.partition(":")[0] for each in known()]
    assert set(names) == {"memory", "file", "remote"}
    for each in known():
        assert each.read_bytes_per_s
        assert 0 < each.energy_j_per_byte < 1e-6
        assert each.energy_source
    memory = known()[0]
    assert memory.energy_j_per_byte == pytest.approx((1300 + 2600) / 2 / 8 * 1e-12)  # 64 bits, Horowitz
    assert all(memory.read_s(SIZE) < each.read_s(SIZE) for each in known()[1:])


def used(tier: Tier) -> Told:
    """All layers twice, with some work on each, one ahead."""
    with TensorStore(tier, 3 * SIZE, CYCLIC) as store:
        for at in range(2 * LAYERS):
            with store.hold([KEYS[at % LAYERS]], [KEYS[(at + 1) % LAYERS]]):
                sleep(0.01)
        return store.told()


@pytest.mark.serial
@pytest.mark.skipif(bool(unavailable()), reason=f"cannot make hosts: {unavailable()}")
def test_what_a_remote_tier_did_foretells_another_link(tmp_path: Path) -> None:
    """Recorded over 16 MB/s, foretold for 4 MB/s, and then run there."""
    path = tmp_path / "store"
    write_file([*((key, {"w": np.zeros(SIZE, np.uint8)}) for key in KEYS), (Key(9), {"w": np.zeros(9)})], path)
    ways = {way: (Hop(">".join(way), 16e6, 0.002),) for way in (("near", "far"), ("far", "near"))}
    with hosts(("near", "far"), ways) as network:
        place = f"{network.address('far')}:0"
        far = network.command("far", [])
        with worker(path, "--over=tcp:plain=true", f"--listen={place}", before=far) as (process, address):
            assert isinstance(process, subprocess.Popen)
            with network.inside("near"):
                tier = RemoteTier(address, "tcp:plain=true")
                figures = measured(tier)
                tier.figures = figures
                told = used(tier)
                network.slow("far", 4)
                slow = RemoteTier(address, "tcp:plain=true")
                slow.figures = slower = measured(slow)
                slowly = used(slow)
    assert figures.read_bytes_per_s is not None
    assert slower.read_bytes_per_s is not None
    assert 8e6 < figures.read_bytes_per_s < 17e6
    assert figures.read_bytes_per_s / slower.read_bytes_per_s == pytest.approx(4, rel=0.35)
    assert 0.002 < figures.latency_s < 0.05
    for real, at in ((told, figures), (slowly, slower)):
        assert replayed(told, CYCLIC, at).seconds == pytest.approx(real.seconds, rel=0.3)

"""Tiers that are not here, by figures; and what a store's record would have taken on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shoal.machines import energy
from shoal.sim.storage import replayed
from shoal.store import Policy, TierFigures, Told


def known() -> tuple[TierFigures, ...]:
    """Memory, a file, another machine: rates and latencies of their order, to be replaced by what is `measured`.

    What a byte takes is of `shoal.machines.energy_table`.
    """
    return (
        _tier("memory: a channel of DDR4-3200", 25.6e9, 100e-9, ("dram", "read", 64, 45)),
        _tier("file: NVMe over four lanes of PCIe 3.0", 3.5e9, 80e-6, ("nvme drive", "read", 8, 0)),
        _tier("file: SD card, UHS-I", 90e6, 500e-6, ("sd card", "read", 8, 0)),
        _tier("remote: Ethernet, 10 Gbit/s", 1.18e9, 100e-6, ("ethernet 10 Gbit/s", "move", 8, 0)),
        _tier("remote: Ethernet, 1 Gbit/s", 118e6, 300e-6, ("ethernet 1 Gbit/s", "move", 8, 0)),
        _tier("remote: Wi-Fi, 100 Mbit/s", 12.5e6, 3e-3, ("wifi 100 Mbit/s", "move", 8, 0)),
    )


def on_each(told: Told, policy: Policy, tiers: Sequence[TierFigures], readers: int = 1) -> tuple[Told, ...]:
    """The same uses, preloads and work on other tiers; see `Told` for what was waited and what reading took.

    Raises:
        InputError: see `replayed`.
        LimitError: see `replayed`.
    """
    size_bytes = sum(size for _, size in told.sizes)
    return tuple(replayed(told, policy, replace(each, size_bytes=size_bytes), readers=readers) for each in tiers)


def _tier(name: str, bytes_per_s: float, latency_s: float, row: tuple[str, str, int, int]) -> TierFigures:
    found = energy(*row)
    return TierFigures(name, bytes_per_s, latency_s, 8 * found.energy_j / found.bits, energy_source=found.source)

"""Two fleets that could do the same work: footprint of one over the other, with the band that ranges leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.cost.carbon.absolute import lifecycle, power_w
from shoal.cost.carbon.breakeven import PaysBack, pays_back
from shoal.cost.carbon.draws import F64, Draws, band, certain
from shoal.cost.carbon.ratios import Verdict, verdict, weighed
from shoal.errors import FleetError
from shoal.fleet import Device, Fleet
from shoal.record import Band


@dataclass(frozen=True)
class Footprint:
    """A fleet's carbon, each as samples of which the first is by the stated figures."""

    embodied_kg: F64
    embodied_kg_per_s: F64  # over its devices' lifetimes
    operational_kg_per_s: F64
    flop_per_s: F64  # on average, at its devices' utilisation

    @property
    def alpha(self) -> float:
        """Share of the embodied part."""
        embodied, operational = self.embodied_kg_per_s[0], self.operational_kg_per_s[0]
        return float(embodied / (embodied + operational))


@dataclass(frozen=True)
class Row:
    """The comparison under one share of embodied carbon in the reference."""

    alpha: float
    fixed_work: float
    fixed_time: float
    verdict: Verdict
    fixed_work_band: Band | None = None  # of nine tenths of the samples; None: no figure has a range
    fixed_time_band: Band | None = None
    strong_share: float | None = None  # of the samples


@dataclass(frozen=True)
class Comparison:
    """One fleet over another, the reference."""

    embodied_kg: float
    reference_embodied_kg: float
    own_alpha: float  # the reference's, by kilograms
    rows: tuple[Row, ...]
    pays_back: dict[str, PaysBack]  # at fixed "work" and at fixed "time"


def footprint(fleet: Fleet, draws: Draws, form: str = "float32") -> Footprint:
    """What a fleet's making and running emit, and the work it can do in `form`.

    Raises:
        FleetError: a device does not say what it emits, or has no peak in this number format.
    """
    parts = [_device(device, draws, form) for device in fleet.devices]
    return Footprint(*(np.sum(figures, axis=0) for figures in zip(*parts, strict=True)))


def compare_fleets(
    fleet: Fleet, reference: Fleet, alphas: Sequence[float], *, form: str = "float32", draws: Draws | None = None
) -> Comparison:
    """The footprint of `fleet` over that of `reference`, under each share of embodied carbon in the latter.

    At fixed work both do as many operations; at fixed time both run, as much as they are used.

    Raises:
        FleetError: see `footprint`, or a reference that emits nothing.
        InputError: no such share.
    """
    draws = draws or Draws()
    ours, theirs = footprint(fleet, draws, form), footprint(reference, draws, form)
    if not (theirs.embodied_kg_per_s.min() > 0 and theirs.operational_kg_per_s.min() > 0):
        raise FleetError("nothing can be compared with a fleet that emits nothing", where=reference.source or None,
                         needed="embodied and operational carbon above 0")  # fmt: skip
    embodied = ours.embodied_kg_per_s / theirs.embodied_kg_per_s
    in_time = ours.operational_kg_per_s / theirs.operational_kg_per_s
    in_work = in_time * theirs.flop_per_s / ours.flop_per_s
    known = all(certain(device) for device in (*fleet.devices, *reference.devices))
    return Comparison(
        embodied_kg=float(ours.embodied_kg[0]),
        reference_embodied_kg=float(theirs.embodied_kg[0]),
        own_alpha=theirs.alpha,
        rows=tuple(
            _row(alpha, weighed(alpha, embodied, in_work), weighed(alpha, embodied, in_time), known)
            for alpha in alphas
        ),
        pays_back={
            case: pays_back(
                float(ours.embodied_kg[0] - theirs.embodied_kg[0]),
                float(theirs.operational_kg_per_s[0] * (1 - ratio[0])),
            )
            for case, ratio in (("work", in_work), ("time", in_time))
        },
    )


def _device(device: Device, draws: Draws, form: str) -> tuple[F64, F64, F64, F64]:
    life = lifecycle(device)
    embodied_kg = draws.embodied_kg(device)
    used = draws.of(device, "utilisation", life.utilisation)
    power = device.idle_w + used * (power_w(device) - device.idle_w)
    return (
        embodied_kg,
        embodied_kg / draws.of(device, "lifetime", life.lifetime_s),
        power * draws.of(device, "grid", life.grid_kg_per_j) * life.pue,
        used * _flop_per_s(device, form),
    )


def _flop_per_s(device: Device, form: str) -> float:
    peaks = [unit.peak_flop_per_s[form] for unit in device.units if form in unit.peak_flop_per_s]
    if not peaks:
        raise FleetError(f"no peak in {form} is stated", where=f"devices.{device.name}")
    return device.speed * sum(peaks)


def _row(alpha: float, work: F64, time: F64, known: bool) -> Row:
    stated = float(work[0]), float(time[0])
    if known:
        return Row(alpha, *stated, verdict(*stated))
    strong = float(np.mean((work[1:] < 1) & (time[1:] < 1)))
    return Row(alpha, *stated, verdict(*stated), band(work), band(time), strong)

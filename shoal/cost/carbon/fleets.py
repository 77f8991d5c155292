"""Two fleets that could do the same work: footprint of one over the other, with the band that ranges leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
class Work:
    """What a fleet does while it works, and what that takes; of a plan for it."""

    per_s: float  # items
    power_w: Mapping[str, float]  # device that takes part -> mean power meanwhile; others idle


@dataclass(frozen=True)
class Footprint:
    """A fleet's carbon, each as samples of which the first is by the stated figures."""

    embodied_kg: F64
    embodied_kg_per_s: F64  # over its devices' lifetimes
    operational_kg_per_s: F64
    work_per_s: F64  # operations, or a plan's items, on average at its devices' utilisation

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
    work_per_s: float  # on average: floating-point operations by stated peaks, or items by plans
    reference_work_per_s: float
    rows: tuple[Row, ...]
    pays_back: dict[str, PaysBack]  # at fixed "work" and at fixed "time"


def footprint(fleet: Fleet, draws: Draws, form: str = "float32", work: Work | None = None) -> Footprint:
    """What a fleet's making and running emit, and the work it can do: of `work`, or all peaks in `form`.

    A plan's items come only while all of its devices work.

    Raises:
        FleetError: a device does not say what it emits, or has no peak in this number format.
    """
    used = {device.name: draws.of(device, "utilisation", lifecycle(device).utilisation) for device in fleet.devices}
    embodied_kg = {device.name: draws.embodied_kg(device) for device in fleet.devices}
    if work is None:
        work_per_s = _sum(used[device.name] * _flop_per_s(device, form) for device in fleet.devices)
    else:
        work_per_s = work.per_s * np.min([used[name] for name in work.power_w], axis=0)
    return Footprint(
        _sum(embodied_kg.values()),
        _sum(
            embodied_kg[each.name] / draws.of(each, "lifetime", lifecycle(each).lifetime_s)
            for each in fleet.devices
        ),
        _sum(_running(device, draws, used[device.name], work) for device in fleet.devices),
        work_per_s,
    )


def compare_fleets(
    fleet: Fleet,
    reference: Fleet,
    alphas: Sequence[float],
    *,
    form: str = "float32",
    draws: Draws | None = None,
    works: tuple[Work, Work] | None = None,
) -> Comparison:
    """The footprint of `fleet` over that of `reference`, under each share of embodied carbon in the latter.

    At fixed work both do as many operations, or items of the plans that `works` are of (in the same order); at fixed
    time both run, as much as they are used.

    Raises:
        FleetError: see `footprint`, or a reference that emits nothing.
        InputError: no such share.
    """
    draws = draws or Draws()
    first, second = works or (None, None)
    ours, theirs = footprint(fleet, draws, form, first), footprint(reference, draws, form, second)
    if not (theirs.embodied_kg_per_s.min() > 0 and theirs.operational_kg_per_s.min() > 0):
        raise FleetError("nothing can be compared with a fleet that emits nothing", where=reference.source or None,
                         needed="embodied and operational carbon above 0")  # fmt: skip
    embodied = ours.embodied_kg_per_s / theirs.embodied_kg_per_s
    in_time = ours.operational_kg_per_s / theirs.operational_kg_per_s
    in_work = in_time * theirs.work_per_s / ours.work_per_s
    known = all(certain(device) for device in (*fleet.devices, *reference.devices))
    return Comparison(
        embodied_kg=float(ours.embodied_kg[0]),
        reference_embodied_kg=float(theirs.embodied_kg[0]),
        own_alpha=theirs.alpha,
        work_per_s=float(ours.work_per_s[0]),
        reference_work_per_s=float(theirs.work_per_s[0]),
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


def _running(device: Device, draws: Draws, used: F64, work: Work | None) -> F64:
    """Kilograms a second of its electricity."""
    life = lifecycle(device)
    working_w = power_w(device) if work is None else work.power_w.get(device.name, device.idle_w)
    power = device.idle_w + used * (working_w - device.idle_w)
    return power * draws.of(device, "grid", life.grid_kg_per_j) * life.pue


def _sum(each: Iterable[F64]) -> F64:
    total: F64 = np.sum(list(each), axis=0)
    return total


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

"""Pictures of one noise in several settings, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoal.compress import Compressed
from shoal.study._bench import Bench
from shoal.study._fp_diffusion_lab import F32, SETTINGS, Lab, Samples, Setting
from shoal.study._frechet import Moments, frechet, psnr_db

APART = 10_000  # between the seeds of noise and those of calibration


@dataclass(frozen=True, eq=False)
class Plain:
    """What the float network draws from the noise of a seed, and what is calibrated with under that seed."""

    seed: int
    noise: F32
    pictures: F32
    moments: Moments  # of these
    to_data: float  # Fréchet distance to the digits
    samples: Samples


@dataclass(frozen=True, eq=False)
class Outcome:
    """A setting's pictures, judged."""

    to_data: float  # Fréchet distance to the digits
    to_float: float  # to the float network's pictures of the same noise
    psnr_db: float  # mean of the pictures, to those of the float network
    coded: Compressed


@dataclass(frozen=True, eq=False)
class Drawn:
    """Settings under one seed."""

    plain: Plain
    outcomes: Mapping[str, Outcome]


def plain(lab: Lab, seed: int, count: int) -> Plain:
    """So many pictures of the float network."""
    noise = lab.noise(seed, count)
    pictures = lab.pictures(lab.graph, noise)
    moments = lab.judge.moments(pictures)
    return Plain(seed, noise, pictures, moments, frechet(moments, lab.judge.data), lab.samples(APART + seed))


def outcome(lab: Lab, base: Plain, setting: Setting, samples: Samples = ()) -> Outcome:
    """One setting, calibrated on the samples of this seed or on others."""
    made = lab.coded(setting, samples or base.samples)
    pictures = lab.pictures(made.model, base.noise)
    moments = lab.judge.moments(pictures)
    similar = float(psnr_db(pictures, base.pictures).mean())
    return Outcome(frechet(moments, lab.judge.data), frechet(moments, base.moments), similar, made)


def drawn(lab: Lab, bench: Bench, seed: int, count: int, names: Sequence[str] = tuple(SETTINGS)) -> Drawn:
    """These settings."""
    base, outcomes = plain(lab, seed, count), {}
    for name in bench.each(names, f"seed {seed}, setting"):
        each = outcomes[name] = outcome(lab, base, SETTINGS[name])
        bench.say(f"{name}: {each.psnr_db:.2f} dB, {each.to_float:.3f} to float, {each.to_data:.3f} to digits")
    return Drawn(base, outcomes)

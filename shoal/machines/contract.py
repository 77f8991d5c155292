"""What a machine model gives: seconds of a kernel from its structure, and samples drawn from it with noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shoal.errors import InputError
from shoal.record import KernelSample, KernelWork


class Machine(Protocol):
    """A technique of `machines`: its fields are structure (lanes, clocks, rates), never a speed-up."""

    def seconds(self, work: KernelWork) -> float:
        """Seconds of `work` on one such machine, without noise; inf where it has no implementation."""


@dataclass(frozen=True)
class MachineTimes:
    """The machines' own times by type of device: the truth that planners' predictors are judged by."""

    machines: Mapping[str, Machine]

    def seconds(self, work: KernelWork, device: str) -> float:
        """Seconds of `work` on one device of the type.

        Raises:
            InputError: no machine stands for the type.
        """
        if device not in self.machines:
            raise InputError(f"no machine stands for '{device}'", hint=f"known: {', '.join(self.machines)}")
        return self.machines[device].seconds(work)


def machine_samples(
    machine: Machine, works: Sequence[KernelWork], device: str, *, noise: float = 0.03, seed: int = 0
) -> tuple[KernelSample, ...]:
    """What measuring `works` on the machine would give: its times, each off by a log-normal factor.

    Args:
        machine: whose times.
        works: what is measured; those it has no implementation of are left out.
        device: the type's name in the samples.
        noise: standard deviation of the factor's logarithm.
        seed: of the noise.
    """
    factors = np.exp(np.random.default_rng(seed).normal(0.0, noise, len(works)))
    timed = [(work, machine.seconds(work) * float(factor)) for work, factor in zip(works, factors, strict=True)]
    return tuple(
        KernelSample(work, device, seconds, "simulated") for work, seconds in timed if np.isfinite(seconds)
    )

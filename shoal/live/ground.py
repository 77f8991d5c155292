"""What a service stands on: who is there, and how workers are had there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shoal.control import Vitals
from shoal.fleet import Fleet
from shoal.plan import Plan
from shoal.program import Gone, Here, Program
from shoal.run import Settings
from shoal.run.crew import Crew
from shoal.run.execute import crewed, pace_of


class Ground(Protocol):
    """Machines. Safe to use from several threads."""

    def fleet(self) -> Fleet:
        """Every device that is known, whether it is there or not."""

    def present(self) -> frozenset[str]:
        """Those that are there."""

    def crew(self, plan: Plan, program: Program, folder: Path) -> AbstractContextManager[Crew]:
        """Workers of `plan`, loaded and ready; they go when the block ends."""

    def watch(self, told: Callable[[Here | Gone], None]) -> None:
        """Call `told` when a device comes or goes; from a thread of the ground's."""

    def vitals(self) -> Mapping[str, Vitals]:
        """How the devices are, as far as they tell."""


@dataclass(frozen=True)
class ThisMachine:
    """The devices of a plan as processes here, which are always there."""

    plan: Plan
    settings: Settings

    def fleet(self) -> Fleet:
        """The plan's."""
        return self.plan.fleet

    def present(self) -> frozenset[str]:
        """All but those that were left out of the plan on purpose."""
        return frozenset(device.name for device in self.plan.fleet.devices) - set(self.plan.recipe.exclude)

    def crew(self, plan: Plan, program: Program, folder: Path) -> AbstractContextManager[Crew]:
        """A process (a thread over `memory`) for each unit."""
        tempo = pace_of(plan, program) if self.settings.emulate else None
        return crewed(plan, program, folder, self.settings, tempo)

    def watch(self, told: Callable[[Here | Gone], None]) -> None:
        """Nobody comes or goes: a worker that ends is noticed by its connection."""

    def vitals(self) -> Mapping[str, Vitals]:
        """Nothing is told of parts of one machine."""
        return {}

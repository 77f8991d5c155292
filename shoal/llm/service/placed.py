"""A kept decoder on a fleet: planned at the sizes of a decode step, lowered with its sizes left open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from shoal import graph
from shoal.errors import InputError
from shoal.fleet import Fleet
from shoal.graph import Carried, Graph
from shoal.llm.checkpoint import Kept
from shoal.llm.decoder import caches
from shoal.plan import ModelRef, Plan, Wishes, search
from shoal.plan.costs import costs_of
from shoal.plan.lower import program_of
from shoal.plan.written import with_files
from shoal.program import Program

OPEN = ("batch", "tokens")
PLANNER = "fan"
ENOUGH = 4  # rows of a group


@dataclass(frozen=True)
class Room:
    """What is served at once."""

    rows: int = 8  # sequences
    chunk: int = 256  # tokens of a prompt that go in at once
    groups: int = 0  # steps under way at once; 0: as many as keep all units busy

    def __post_init__(self) -> None:
        if self.rows < 1 or self.chunk < 1 or not 0 <= self.groups <= self.rows:
            raise InputError("room that cannot be", needed="at least one row and one token, at most a group a row",
                             had=f"{self.rows} rows, chunks of {self.chunk}, {self.groups} groups")  # fmt: skip

    def grouped(self, units: int) -> Room:
        """With as many groups as keep so many units busy.

        Twice as many as units, where a group still has rows enough: with one a unit, a step that waits for another unit
        leaves its own idle. Weights are read once a step, so groups of few rows cost more than they spare.
        """
        spare = units > 1 and self.rows >= 2 * units * ENOUGH
        return replace(self, groups=self.groups or min(2 * units if spare else units, self.rows))


@dataclass(frozen=True)
class Placed:
    """A decoder's plan, and the Program with its files."""

    plan: Plan
    program: Program
    folder: Path
    room: Room


def placed(
    kept: Kept, fleet: Fleet, room: Room | None = None, *, exclude: Collection[str] = (), planner: str = PLANNER,
    measure: bool = False,
) -> Placed:  # fmt: skip
    """The best plan for steps of all rows, one token each, and its Program.

    Args:
        kept: the decoder.
        fleet: where.
        room: what is served at once.
        exclude: devices that are not used.
        planner: that places it.
        measure: first measure here what was never measured here.

    Raises:
        PlanError: no device, or not enough memory for weights and caches.
    """
    left = [unit for unit in fleet.unit_names if not {unit, unit.partition("/")[0]} & set(exclude)]
    chosen = (room or Room()).grouped(max(1, len(left)))
    path, bound = str(kept.model), {"batch": -(-chosen.rows // chosen.groups), "tokens": 1}
    counted = graph.load(path, sizes=bound, carry=_carried(kept))
    reference = ModelRef(kept.facts.name, path, counted.sha256, sizes=bound, carried=counted.carried)
    wishes = Wishes(planner=planner, exclude=tuple(exclude))
    plan = search(counted, reference, fleet, costs_of(counted, fleet, measure=measure), wishes).plan
    return lowered(kept, plan, chosen)


def lowered(kept: Kept, plan: Plan, room: Room) -> Placed:
    """The Program of a plan, with as many rows and tokens as there is room for."""
    opened = _opened(kept.model, _carried(kept))
    sizes = {"batch": room.rows, "tokens": room.chunk}
    program = program_of(opened, plan.replicas, max(plan.window, room.groups), plan.model.name, sizes)
    program, folder = with_files(opened, program)
    return Placed(plan, program, folder, room)


@lru_cache(maxsize=2)
def _opened(path: Path, carried: tuple[Carried, ...]) -> Graph:
    return graph.load(path, carry=carried, open_sizes=OPEN)


def _carried(kept: Kept) -> tuple[Carried, ...]:
    """Its caches, of which a step uses the rows of its sequences."""
    return tuple(Carried(given, made, scope="stream", rows="last") for given, made in caches(kept.facts.layers))

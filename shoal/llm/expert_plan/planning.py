"""From texts and a fleet to a plan: routes recorded, experts placed, the placement judged by what it was not chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import shoal
from shoal.errors import InputError
from shoal.fleet import Fleet
from shoal.llm.expert_parallel.curve import measured_curve
from shoal.llm.expert_plan import model as models
from shoal.llm.expert_plan import routes
from shoal.plan.experts import (
    Combine,
    Curve,
    Dependency,
    ExpertPlan,
    ExpertProblem,
    Flows,
    Forecast,
    Placed,
    check_room,
    dependency,
    expert_fleet,
    flows,
    placed,
    problem,
)
from shoal.store import RoutingTrace

HERE = "this-machine"  # the board of devices that are measured


@dataclass(frozen=True)
class Found:
    """A plan, and what was seen on the way to it."""

    plan: ExpertPlan
    facts: models.Facts
    in_order: Forecast  # of experts as they are numbered
    gap: float | None  # see `Placed`
    notes: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    tokens: tuple[int, int]  # that it was chosen by, and judged by
    curve: Curve | None  # measured
    recorded: RoutingTrace | None  # unless the routes were there


@dataclass(frozen=True)
class Question:
    """What to place, where, how, by which routes.

    Args:
        model: a folder as Hugging Face keeps them, or the config.json in it.
        fleet: devices and links.
        technique: of `plan/experts`, with its options.
        routes: texts to record, a document each, or one file of routes.
        step_tokens: of a step; fewer where there are not so many.
        combine: where a token's state is between layers.
        measure: measure an expert here, for devices that are this machine.
    """

    model: Path
    fleet: Fleet
    technique: str
    routes: tuple[Path, ...]
    step_tokens: int = 256
    combine: Combine = "home"
    measure: bool = False

    def answered(self) -> Found:
        """The plan.

        Raises:
            InputError: options, or files of the model or of routes, that cannot be.
            LimitError: the fleet does not hold the experts; says by how much.
            FleetError: two devices without a link, or none that multiplies.
        """
        if not self.routes:
            raise InputError("experts are placed by the routes of texts", where="--place",
                             needed="--routes FILE", hint="a text like those to come, or recorded routes (.npz)")  # fmt: skip
        if self.step_tokens < 1:
            raise InputError("a step has a token at least", where="--step-tokens", had=str(self.step_tokens))
        folder = models.folder_of(self.model)
        known = models.facts(folder)
        curve = self._measured(known)
        fleet = expert_fleet(self.fleet, known.shape, curves=self._curves(curve))
        check_room(fleet, known.shape, known.layers * known.experts)  # before texts are read
        trace, new = self._trace(folder, known)
        profile, test = routes.halves(trace)
        step = min(self.step_tokens, profile.tokens, test.tokens)
        counted, judging = (flows(each, len(fleet.hosts), step_tokens=step) for each in (profile, test))
        asked = problem(counted, fleet, known.shape, self.combine)
        found = placed(self.technique, asked)
        plan = ExpertPlan(
            models.reference(folder), fleet, known.shape, found.placement, _forecast(asked, found, judging),
            self.technique, self.combine, step, known.per_token, shoal.__version__,
        )  # fmt: skip
        return Found(
            plan, known, _forecast(asked, placed("contiguous", asked), judging), found.gap,
            tuple(filter(None, found.notes)), dependency(profile), (profile.tokens, test.tokens), curve,
            trace if new else None,
        )  # fmt: skip

    def _trace(self, folder: Path, known: models.Facts) -> tuple[RoutingTrace, bool]:
        """Routes, and whether they were recorded now."""
        if routes.is_trace(self.routes):
            return routes.of_file(self.routes[0], known), False
        text = models.text_of(folder)
        return routes.of_texts(self.routes, models.trained(folder), text), True

    def _measured(self, known: models.Facts) -> Curve | None:
        if not self.measure:
            return None
        if not any(each.board == HERE for each in self.fleet.devices):
            raise InputError("no device is this machine", where="--measure", needed=f'board = "{HERE}"')
        return measured_curve(known.width, known.hidden, known.activation)

    def _curves(self, measured: Curve | None) -> dict[str, Curve]:
        if measured is None:
            return {}
        return {each.name: measured.slower(each.speed) for each in self.fleet.devices if each.board == HERE}


def _forecast(asked: ExpertProblem, found: Placed, judging: Flows) -> Forecast:
    return Forecast.of(asked.evaluated(found.placement, judging), judging.loads, found.placement)

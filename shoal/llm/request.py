"""Both entries of a language model chosen together, for requests of so many new tokens: what a prompt leaves behind is moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from shoal import catalog
from shoal.errors import InputError, LimitError, PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.llm.outlook import DECODE, PREFILL
from shoal.llm.planning import FAMILY, plan_entry
from shoal.plan import Front, Plan, Wishes

GOALS = {"latency": "seconds", "energy": "joules"}  # that are told of a request


@dataclass(frozen=True)
class Request:
    """One prompt and its answer: seconds as if alone in the fleet, joules as when its pipes are full."""

    prefill: Plan
    decode: Plan
    new: int  # tokens after the first
    kept_bytes: Mapping[str, int]  # of the prompt, by block

    @cached_property
    def moved_bytes(self) -> Mapping[tuple[str, str], int]:
        """What is kept of the prompt, from one unit to another where layers change devices."""
        found: dict[tuple[str, str], int] = {}
        for block, size in self.kept_bytes.items():
            way = self.prefill.owners[block], self.decode.owners[block]
            if way[0].partition("/")[0] != way[1].partition("/")[0]:
                found[way] = found.get(way, 0) + size
        return found

    @property
    def moved_s(self) -> float:
        """Seconds that it takes, way after way."""
        links = {way: self.decode.fleet.path(*way) for way in self.moved_bytes}
        return sum(
            link.latency_s + size / link.bandwidth_bytes_per_s
            for way, size in self.moved_bytes.items()
            for link in links[way]
        )

    @property
    def facts(self) -> Mapping[str, float]:
        """The figures, for JSON."""
        return {
            "new_tokens": self.new, "first_token_s": self.first_token_s, "moved_bytes": sum(self.moved_bytes.values()),
            "moved_s": self.moved_s, "seconds": self.seconds, "energy_j": self.joules,
        }  # fmt: skip

    @property
    def first_token_s(self) -> float:
        """The prompt in empty pipes."""
        return self.prefill.prediction.alone_latency_s

    @property
    def seconds(self) -> float:
        """Until the last token."""
        return self.first_token_s + self.moved_s + self.new * self.decode.prediction.alone_latency_s

    @property
    def joules(self) -> float:
        """Of all devices that take part."""
        fleet = self.decode.fleet
        sent = (size * (fleet.device(one).link_j_per_byte + fleet.device(other).link_j_per_byte)
                for (one, other), size in self.moved_bytes.items())  # fmt: skip
        of_prompt, of_token = (sum(each.prediction.energy_j.values()) for each in (self.prefill, self.decode))
        return of_prompt + self.new * of_token + sum(sent)


def kept_bytes(prefill: Plan) -> Mapping[str, int]:
    """What is kept of a prompt, by block."""
    graph: Graph = catalog.make(FAMILY, prefill.model.entry).graph(prefill.model.path)
    return {graph.ops[graph.producer[each.output]].name: graph.tensors[each.output].bytes for each in graph.carried}


def plan_request(
    config: Path, entries: Mapping[str, str], fleet: Fleet, wishes: Wishes, new: int
) -> tuple[dict[str, Front], Request]:
    """The fronts of both entries, a plan of each chosen so that a request is best in the first goal.

    Tried are all pairs of plans of the fronts, and of each of them the same placement for both entries.

    Args:
        config: config.json or its folder.
        entries: prefill and decode as techniques of `llm/blocks`.
        fleet: the machines.
        wishes: of either entry, their first goal latency or energy; limits hold for an item of either.
        new: tokens after the first.

    Raises:
        InputError: another goal, or no token; and what `plan_entry` raises.
    """
    goal = wishes.objective.goals[0]
    if goal not in GOALS or new < 1:
        raise InputError("a request has no such figure", where="--minimize", needed=" or ".join(GOALS) + ", for at least one token",
                         had=f"{goal}, {new} tokens")  # fmt: skip
    fronts = {name: plan_entry(config, entries[name], fleet, wishes) for name in (DECODE, PREFILL)}
    plans = {name: list(front.plans) for name, front in fronts.items()}
    for name, other in ((DECODE, PREFILL), (PREFILL, DECODE)):
        for each in fronts[other].plans:
            if all(dict(each.owners) != dict(plan.owners) for plan in plans[name]):
                plans[name] += _placed(config, entries[name], fleet, wishes, each)
    kept = kept_bytes(fronts[PREFILL].plan)
    pairs = [Request(one, other, new, kept) for one in plans[PREFILL] for other in plans[DECODE]]
    best = min(pairs, key=lambda each: float(getattr(each, GOALS[goal])))
    chosen = {PREFILL: best.prefill, DECODE: best.decode}
    return {name: _choosing(front, chosen[name]) for name, front in fronts.items()}, best


def _placed(config: Path, entry: str, fleet: Fleet, wishes: Wishes, plan: Plan) -> list[Plan]:
    """An entry where another's plan is; none where it cannot run or keeps no limit."""
    try:
        return list(plan_entry(config, entry, fleet, wishes, plan).plans)
    except (PlanError, LimitError):
        return []


def _choosing(front: Front, plan: Plan) -> Front:
    """The front with this plan chosen, and added where it is dominated."""
    plans = front.plans if plan in front.plans else (*front.plans, plan)
    return replace(front, plans=plans, chosen=plans.index(plan))

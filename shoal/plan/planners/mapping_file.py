"""A mapping written by hand or by another tool: AutoDiCE's JSON of resources and their nodes, read and written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph, node_names
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group, Plan


@dataclass(frozen=True)
class MappingFile:
    """Take the placement from a file. [AutoDiCE, arXiv 2207.12113]

    A key is "device/unit", a device, or AutoDiCE's "<host>_<unit>" ("nx01_arm0123", "nx01_gpu"), where the host
    is a device of the fleet. A value is a list of node names, each the name of the node's first output. Keys that
    mean the same unit are one group: a unit is one worker, whichever of its cores a key names.
    """

    path: str = ""  # the JSON file

    def search(self, problem: Problem) -> Candidates:
        """The one placement in the file; whether memory holds it is for others to say.

        Raises:
            PlanError: unknown resource or node, a node mapped twice or not at all; all of them in one message.
        """
        if not self.path:
            raise PlanError("no mapping file is given", hint="--planner mapping_file:path=mapping.json")
        mapping = read_mapping(Path(self.path))
        units = {key: unit_of(problem.fleet, key) for key in mapping}
        faults = [*_unknown_units(problem, units), *_misplaced(problem.graph, mapping)]
        if faults:
            raise PlanError("the mapping does not fit", where=self.path, had="; ".join(faults))
        groups = _groups(problem, {key: unit for key, unit in units.items() if unit}, mapping)
        return Candidates((groups,), Assessor(problem).scores([groups]), exact=False)


def read_mapping(path: Path) -> dict[str, list[str]]:
    """The mapping in `path`.

    Raises:
        PlanError: not a JSON object of lists of strings, or a key that stands twice.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (OSError, ValueError) as fault:
        raise PlanError(f"cannot read the mapping: {fault}", where=str(path)) from fault
    good = isinstance(content, dict) and all(
        isinstance(ops, list) and all(isinstance(op, str) for op in ops) for ops in content.values()
    )
    if not good or not content:
        raise PlanError("not a mapping", where=str(path), needed='{"device/unit": ["node", …], …}')
    return dict(content)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key '{twice}' stands twice")
    return found


def mapping_of(plan: Plan) -> dict[str, list[str]]:
    """The plan's placement in the same form.

    Raises:
        PlanError: the plan divides single ops, or has replicas: a mapping cannot say so.
    """
    if plan.splits or len(plan.replicas) > 1:
        what = f"a plan by '{plan.recipe.strategy}' is no mapping of whole ops"
        raise PlanError(what, hint="leave out --mapping, or use --strategy stage")
    found: dict[str, list[str]] = {}
    for group in plan.replicas[0].groups:
        found.setdefault(group.unit, []).extend(group.ops)
    return found


def unit_of(fleet: Fleet, key: str) -> str | None:
    """The unit that a key of a mapping names; None if the fleet has no such device or unit."""
    names = {device.name for device in fleet.devices}
    if key in fleet.unit_names:
        return key
    if key in names:
        return f"{key}/{fleet.device(key).units[0].name}"
    host, _, part = key.rpartition("_")
    unit = f"{host}/{'gpu' if part.startswith('gpu') else 'cpu'}"
    return unit if unit in fleet.unit_names else None


def _unknown_units(problem: Problem, units: Mapping[str, str | None]) -> list[str]:
    unknown = [key for key, unit in units.items() if unit is None]
    idle = [key for key, unit in units.items() if unit is not None and unit not in problem.units]
    known = f" (known: {', '.join(problem.units)})"
    faults = [f"no such resource: {', '.join(unknown)}{known}"] if unknown else []
    return [*faults, f"excluded or without an engine: {', '.join(idle)}"] if idle else faults


def _misplaced(graph: Graph, mapping: Mapping[str, list[str]]) -> list[str]:
    """Each op once; names of nodes that vanish when a model is loaded (Dropout, constants) are let pass."""
    counts = Counter(op for ops in mapping.values() for op in ops)
    twice = sorted(op for op, count in counts.items() if count > 1)
    unknown = sorted(set(counts) - set(graph.position))
    unknown = sorted(set(unknown) - node_names(graph.source)) if unknown else []
    missing = [op.name for op in graph.ops if op.name not in counts]
    found = (("mapped twice", twice), ("not in the model", unknown), ("not mapped", missing))
    return [f"{what}: {_few(ops)}" for what, ops in found if ops]


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _groups(problem: Problem, units: Mapping[str, str], mapping: Mapping[str, list[str]]) -> tuple[Group, ...]:
    """One group for each unit that is left with an op, in the order of the file."""
    position = problem.graph.position
    owned: dict[str, list[str]] = {}
    for key, unit in units.items():
        owned.setdefault(unit, []).extend(op for op in mapping[key] if op in position)
    engines = dict(zip(problem.units, units_engines(problem)[0], strict=True))
    return tuple(
        Group(unit, tuple(sorted(ops, key=position.__getitem__)), engines[unit])
        for unit, ops in owned.items()
        if ops
    )

"""A mapping written by hand or by another tool: AutoDiCE's JSON of resources and their nodes, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import node_names
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import GOALS, Group, Plan


@dataclass(frozen=True)
class MappingFile:
    """Take the placement from a file. [AutoDiCE, arXiv 2207.12113]

    A key is "device/unit", a device, or AutoDiCE's "<host>_<unit>" ("nx01_arm0123", "nx01_gpu"), where the host
    is a device of the fleet. A value is a list of node names, each the name of the node's first output.
    """

    path: str = ""  # the JSON file

    def search(self, problem: Problem) -> Candidates:
        """The one placement in the file.

        Raises:
            PlanError: unknown resource or node, a node mapped twice or not at all.
        """
        mapping = read_mapping(Path(self.path))
        _check_names(problem, mapping)
        groups = tuple(_group(problem, key, ops) for key, ops in mapping.items())
        return Candidates((groups,), np.zeros((1, len(GOALS))), exact=False)


def read_mapping(path: Path) -> dict[str, list[str]]:
    """The mapping in `path`.

    Raises:
        PlanError: not a JSON object of lists of strings.
    """
    try:
        content: Any = json.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise PlanError(f"cannot read the mapping: {fault}", where=str(path)) from fault
    good = isinstance(content, dict) and all(
        isinstance(ops, list) and all(isinstance(op, str) for op in ops) for ops in content.values()
    )
    if not good or not content:
        raise PlanError("not a mapping", where=str(path), needed='{"device/unit": ["node", …], …}')
    return {str(key): list(ops) for key, ops in content.items()}


def mapping_of(plan: Plan) -> dict[str, list[str]]:
    """The plan's placement in the same form."""
    found: dict[str, list[str]] = {}
    for group in plan.replicas[0].groups:
        found.setdefault(group.unit, []).extend(group.ops)
    return found


def unit_of(fleet: Fleet, key: str) -> str:
    """The unit that a key of a mapping names.

    Raises:
        PlanError: no such device or unit.
    """
    names = {device.name for device in fleet.devices}
    if key in fleet.unit_names:
        return key
    if key in names:
        return f"{key}/{fleet.device(key).units[0].name}"
    host, _, unit = key.rpartition("_")
    if host in names:
        device = fleet.device(host)
        wanted = "gpu" if unit.startswith("gpu") else "cpu"
        if any(each.name == wanted for each in device.units):
            return f"{host}/{wanted}"
    raise PlanError(f"the mapping names the unknown resource '{key}'", had=", ".join(fleet.unit_names))


def _check_names(problem: Problem, mapping: Mapping[str, list[str]]) -> None:
    """Each op once; names of nodes that vanish when a model is loaded (Dropout, constants) are let pass."""
    named = [op for ops in mapping.values() for op in ops]
    twice = sorted({op for op in named if named.count(op) > 1})
    unknown = sorted(set(named) - set(problem.graph.position) - node_names(problem.graph.source))
    missing = [op.name for op in problem.graph.ops if op.name not in set(named)]
    facts = [
        f"{what}: {', '.join(ops)}"
        for what, ops in (("mapped twice", twice), ("unknown", unknown), ("not mapped", missing))
        if ops
    ]
    if facts:
        raise PlanError("the mapping does not fit the model", had="; ".join(facts))


def _group(problem: Problem, key: str, ops: list[str]) -> Group:
    unit = unit_of(problem.fleet, key)
    if unit not in problem.units:
        raise PlanError(f"the mapping uses '{unit}', which is excluded or has no engine")
    kept = tuple(sorted((op for op in ops if op in problem.graph.position), key=problem.graph.position.__getitem__))
    return Group(unit, kept, problem.engines_of(unit)[0])

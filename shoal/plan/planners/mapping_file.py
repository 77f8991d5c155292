"""A mapping written by hand or by another tool: AutoDiCE's JSON of resources and their nodes, read and written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph, Split, divide, load, node_names
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.planners._horizontal import Shared, read_shared, splits_of, written_back
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group, Plan

SHARED = ("split", "horizontal")  # keys of a mapping whose value is no list: layers divided between resources


@dataclass(frozen=True)
class Mapped:
    """What a mapping file says."""

    ops: Mapping[str, Sequence[str]]  # resource → names of nodes
    shared: Mapping[str, Shared] = field(default_factory=dict)  # by layer

    @property
    def resources(self) -> tuple[str, ...]:
        """All that are named, in the order of the file."""
        return tuple(
            dict.fromkeys((*self.ops, *(name for each in self.shared.values() for name in each.resources)))
        )


@dataclass(frozen=True)
class MappingFile:
    """Take the placement from a file. [AutoDiCE, arXiv 2207.12113]

    A key is "device/unit", a device, or AutoDiCE's "<host>_<unit>" ("nx01_arm0123", "nx01_gpu"), where the host
    is a device of the fleet. A value is a list of node names, each the name of the node's first output. Keys that
    mean the same unit are one group: a unit is one worker, whichever of its cores a key names.

    The key "split" holds the layers that several resources share, `layer: [kind, points, [resource, …]]`: kind `lop`
    divides output channels, at cumulative ends; `lip` input channels, `height` and `width` the output's rows and
    columns, by sizes. Such a layer may be in the lists of its resources too, as in AutoDiCE's own pair of files,
    whose second (`HorizontalInplace`) can be given as `split`.
    """

    path: str = ""  # the JSON file
    split: str = ""  # another JSON file with divided layers, beside those under "split" in the first

    def search(self, problem: Problem) -> Candidates:
        """The one placement in the file; whether memory holds it is for others to say.

        Raises:
            PlanError: unknown resource or node, a node mapped twice or not at all, all of them in one message; a
                layer that cannot be divided as the file says.
        """
        if not self.path:
            raise PlanError("no mapping file is given", hint="--planner mapping_file:path=mapping.json")
        mapping = read_mapping(Path(self.path), Path(self.split) if self.split else None)
        units = {key: unit_of(problem.fleet, key) for key in mapping.resources}
        faults = [*_unknown_units(problem, units), *_misplaced(problem.graph, mapping, units)]
        if faults:
            raise PlanError("the mapping does not fit", where=self.path, had="; ".join(faults))
        known = {key: unit for key, unit in units.items() if unit}
        return _divided(problem, known, mapping) if mapping.shared else _whole(problem, known, mapping)


def read_mapping(path: Path, split: Path | None = None) -> Mapped:
    """The mapping in `path`, with the divided layers in `split` if they are in a file of their own.

    Raises:
        PlanError: not a JSON object of lists of strings, a key that stands twice, or a wrong entry of a divided layer.
    """
    content = _read(path)
    objects = {key: value for key, value in content.items() if key in SHARED and isinstance(value, dict)}
    lists = {key: value for key, value in content.items() if key not in objects}
    if not all(isinstance(ops, list) and all(isinstance(op, str) for op in ops) for ops in lists.values()):
        raise _no_mapping(path)
    entries = [(path, value) for value in objects.values()]
    if split:
        entries.append((split, _read(split)))
    shared: dict[str, Shared] = {}
    for where, value in entries:
        if both := sorted(set(value) & set(shared)):
            raise PlanError(f"layer '{both[0]}' is divided twice", where=str(where))
        shared |= read_shared(value, str(where))
    if not lists and not shared:
        raise _no_mapping(path)
    return Mapped(lists, shared)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (OSError, ValueError, RecursionError) as fault:
        raise PlanError(f"cannot read the mapping: {fault}", where=str(path)) from fault
    if not isinstance(content, dict):
        raise _no_mapping(path)
    return content


def _no_mapping(path: Path) -> PlanError:
    return PlanError("not a mapping", where=str(path), needed='{"device/unit": ["node", …], …}')


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key '{twice}' stands twice")
    return found


def mapping_of(plan: Plan) -> dict[str, Any]:
    """The plan's placement in the same form. A plan that divides ops is held against its model's file.

    Raises:
        PlanError: an op is divided in a way that no kind describes, or the plan has replicas.
        ModelError: the model cannot be loaded, for a plan that divides ops.
    """
    if len(plan.replicas) > 1:
        what = f"a plan by '{plan.recipe.strategy}' has replicas, which a mapping cannot say"
        raise PlanError(what, hint="leave out --mapping, or use --strategy stage")
    if not plan.splits:
        return _lists(plan, None)
    graph = load(plan.model.path, plan.model.shapes, plan.model.sizes, plan.model.carried)
    owners = divide(graph, plan.splits).owners
    units = {owners[op]: unit for op, unit in plan.owners.items()}
    shared = written_back(graph, plan.splits, units)
    return _lists(plan, set(graph.position) - set(shared)) | {
        SHARED[0]: {op: each.written for op, each in shared.items()}
    }


def _lists(plan: Plan, wanted: set[str] | None) -> dict[str, Any]:
    """Unit → its ops, of those `wanted` (None: all)."""
    found: dict[str, Any] = {}
    for group in plan.replicas[0].groups:
        found.setdefault(group.unit, []).extend(op for op in group.ops if wanted is None or op in wanted)
    return {unit: ops for unit, ops in found.items() if ops}


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


def _misplaced(graph: Graph, mapping: Mapped, units: Mapping[str, str | None]) -> list[str]:
    """Each op once; names of nodes that vanish when a model is loaded (Dropout, constants) are let pass.

    A divided layer may be in the lists of its own resources.
    """
    shared = mapping.shared
    counts = Counter(op for ops in mapping.ops.values() for op in ops if op not in shared)
    twice = sorted(op for op, count in counts.items() if count > 1)
    unknown = sorted(set(counts) - set(graph.position))
    unknown = sorted(set(unknown) - node_names(graph.source)) if unknown else []
    unknown += sorted(set(shared) - set(graph.position))
    missing = [op.name for op in graph.ops if op.name not in counts and op.name not in shared]
    theirs = {op: {units[name] for name in each.resources} for op, each in shared.items()}
    elsewhere = [
        op for key, ops in mapping.ops.items() for op in ops if op in shared and units[key] not in theirs[op]
    ]
    found = (
        ("mapped twice", twice),
        ("not in the model", unknown),
        ("not mapped", missing),
        ("mapped to a resource that has no part of it", elsewhere),
    )
    return [f"{what}: {_few(ops)}" for what, ops in found if ops]


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _whole(problem: Problem, units: Mapping[str, str], mapping: Mapped) -> Candidates:
    """One group for each unit that is left with an op, in the order of the file."""
    position = problem.graph.position
    owned: dict[str, list[str]] = {}
    for key, ops in mapping.ops.items():
        owned.setdefault(units[key], []).extend(op for op in ops if op in position)
    return _scored(problem, {unit: sorted(ops, key=position.__getitem__) for unit, ops in owned.items()})


def _divided(problem: Problem, units: Mapping[str, str], mapping: Mapped) -> Candidates:
    """The same of the graph with its shared layers divided. Inputs arrive at the unit that first reads one."""
    graph, shared = problem.graph, mapping.shared
    unit_of_op = {op: units[key] for key, ops in mapping.ops.items() for op in ops}
    unit_of_op |= {op: units[each.resources[0]] for op, each in shared.items()}
    first = next((op.name for op in graph.ops if set(op.inputs) & set(graph.inputs)), graph.ops[0].name)
    order = list(dict.fromkeys((unit_of_op[first], *units.values())))
    owners = {op.name: order.index(unit_of_op[op.name]) for op in graph.ops}
    parts = {key: order.index(unit) for key, unit in units.items()}
    splits = splits_of(graph, owners, shared, parts)
    divided = divide(graph, splits)
    owned: dict[str, list[str]] = {unit: [] for unit in order}
    for op in divided.graph.ops:
        owned[order[divided.owners[op.name]]].append(op.name)
    return _scored(problem.divided(splits), owned, splits)


def _scored(problem: Problem, owned: Mapping[str, Sequence[str]], splits: tuple[Split, ...] = ()) -> Candidates:
    engines = dict(zip(problem.units, units_engines(problem)[0], strict=True))
    groups = tuple(Group(unit, tuple(ops), engines[unit]) for unit, ops in owned.items() if ops)
    return Candidates((groups,), Assessor(problem).scores([groups]), exact=False, splits=splits)

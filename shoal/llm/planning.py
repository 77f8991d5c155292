"""A language model planned over a fleet from its configuration alone, each entry by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shoal import catalog, codec
from shoal.engines import engine_name, machine_of
from shoal.errors import LimitError, PlanError
from shoal.fleet import Fleet, Unit
from shoal.graph import Graph
from shoal.llm.blocks import Blocks
from shoal.llm.config import architecture
from shoal.llm.phases import PhaseCosts
from shoal.plan import Front, ModelRef, Plan, Wishes, mapping_of, search
from shoal.plan.costs import nominal
from shoal.plan.problem import usable_engines
from shoal.plan.search import WHOLE_LAYERS
from shoal.plan.wishes import strategies_of, units_of
from shoal.program import Workload
from shoal.program.workload import Item
from shoal.units import format_bytes

FAMILY = "llm/blocks"


def plan_entry(config: Path, entry: str, fleet: Fleet, wishes: Wishes, as_placed: Plan | None = None) -> Front:
    """The plans worth having for one entry of a model.

    Items are of as many sessions as are in flight: what is kept of each sequence is held wherever its layers run. Of
    units that share a device's memory only the quickest takes part, since what there is to read comes at one speed.

    Args:
        config: config.json or its folder.
        entry: a technique of `llm/blocks` with its options, "decode:context=8192,weights=fp8".
        fleet: the machines.
        wishes: as `search` takes them; without a workload, two more items are in flight than there are units.
        as_placed: another entry's plan, whose blocks stay where they are: both then read the same weights.

    Raises:
        ModelError: the configuration does not say what is needed.
        InputError: no such entry or option, or a size out of range.
        PlanError: a strategy that divides blocks.
        LimitError: the fleet does not hold the model, or no plan keeps the limits.
    """
    if {each.partition(":")[0] for each in strategies_of(wishes)} != {WHOLE_LAYERS}:
        raise PlanError("blocks of a configuration are placed whole", where="--strategy", needed=WHOLE_LAYERS,
                        had=wishes.strategy)  # fmt: skip
    blocks: Blocks = catalog.make(FAMILY, entry)
    graph = blocks.graph(config)
    wishes = replace(wishes, exclude=tuple(dict.fromkeys((*wishes.exclude, *sharing(fleet, wishes.exclude)))))
    units = units_of(graph, fleet, wishes)
    workload = wishes.workload or Workload(wishes.items, window=len(units) + 2)
    if workload.pattern == (Item(),):
        workload = replace(workload, pattern=tuple(Item(session=at) for at in range(workload.window)))
    check_held(graph, fleet, units, workload.sessions)
    model = ModelRef(graph.name, str(config.resolve()), graph.sha256, entry=entry)
    wishes = replace(wishes, workload=workload)
    costs = PhaseCosts(graph, fleet, nominal(graph, fleet), architecture(config), blocks.step(config))
    apart = refused(costs, units)
    check_units(costs, units, apart)
    found = (
        _placed(graph, model, fleet, wishes, costs, as_placed)
        if as_placed
        else search(graph, model, fleet, costs, wishes)
    )
    return replace(found, notes=(*found.notes, *(f"without {unit}: {why}" for unit, why in apart.items())))


def sharing(fleet: Fleet, exclude: Sequence[str] = ()) -> tuple[str, ...]:
    """Units that read the memory of a quicker one of their device: those of one bandwidth are taken to share it.

    Units that are excluded anyway, or have no engine of ours, do not count.
    """
    ours = set(catalog.names("engines"))

    def peak(unit: Unit) -> float:
        return max(unit.peak_flop_per_s.get(form, 0.0) for form in ("float16", "float32"))

    found = []
    for device in fleet.devices:
        able = [unit for unit in device.units if ours & {engine_name(each) for each in unit.engines}]
        left = [unit for unit in able if f"{device.name}/{unit.name}" not in exclude]
        for unit in left:
            alike = [each for each in left if each.memory_bytes_per_s == unit.memory_bytes_per_s]
            if unit.name != max(alike, key=peak).name:
                found.append(f"{device.name}/{unit.name}")
    return tuple(found)


def refused(costs: PhaseCosts, units: Sequence[str]) -> Mapping[str, str]:
    """Units that are machines without a formula for this entry, and why."""
    engines = {unit: costs.fleet.unit(unit).engines for unit in units}
    found = {unit: [costs.refusal(each) for each in some if machine_of(each)] for unit, some in engines.items()}
    return {
        unit: "; ".join(why) for unit, why in found.items() if why and all(why) and len(why) == len(engines[unit])
    }


def check_units(costs: PhaseCosts, units: Sequence[str], apart: Mapping[str, str]) -> None:
    """Refuse a model with a block that no unit can run.

    Raises:
        PlanError: the first such block, and why machines have no formula for the model.
    """
    offered = {unit: usable_engines(costs.graph, costs.fleet, unit, ()) for unit in units}
    seconds = [costs.op_seconds(unit, each) for unit, engines in offered.items() for each in engines]
    able = np.isfinite(seconds).any(axis=0)
    if not able.all():
        raise PlanError(f"no unit for the block '{costs.graph.ops[int(able.argmin())].name}'", where=costs.graph.name,
                        had="; ".join(apart.values()) or ", ".join(units),
                        hint=None if apart else "add a device with an engine for any op")  # fmt: skip


def _placed(
    graph: Graph, model: ModelRef, fleet: Fleet, wishes: Wishes, costs: PhaseCosts, as_placed: Plan
) -> Front:
    """The one plan whose blocks are where those of another entry are."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:
        mapping = Path(folder) / "mapping.json"
        codec.save(mapping_of(as_placed), mapping)
        asked = replace(wishes, planner=f"mapping_file:path={mapping}")
        found = search(graph, model, fleet, costs, asked)
    return replace(found, plans=tuple(replace(plan, recipe=as_placed.recipe) for plan in found.plans))


def check_held(graph: Graph, fleet: Fleet, units: tuple[str, ...], sessions: int) -> None:
    """Refuse a model that is too large, before a search for where to put it.

    Raises:
        LimitError: it is larger than all devices together, or one block than every device; says what was needed and had.
    """
    devices = {unit.partition("/")[0]: fleet.device(unit).memory_limit_bytes for unit in units}
    states = {
        graph.ops[graph.producer[each.output]].name: sessions * graph.tensors[each.input].bytes
        for each in graph.carried
    }
    needed, had = graph.weights_bytes + sum(states.values()), sum(devices.values())
    if needed > had:
        kept = f" and {format_bytes(sum(states.values()))} kept of {sessions} items in flight" if states else ""
        raise LimitError(
            "the fleet does not hold the model", where=graph.name,
            needed=f"{format_bytes(graph.weights_bytes)} of weights{kept}",
            had=f"{format_bytes(had)} on {len(devices)} device{'s' * (len(devices) != 1)}",
            hint="fewer bits (--weights int4g128), a shorter context, fewer items in flight (--window), or more devices",
        )  # fmt: skip
    largest = max(graph.ops, key=lambda op: op.weights_bytes + states.get(op.name, 0))
    needed = largest.weights_bytes + states.get(largest.name, 0)
    if needed > max(devices.values()):
        raise LimitError(
            f"no device holds the block '{largest.name}'", where=graph.name, needed=format_bytes(needed),
            had=f"at most {format_bytes(max(devices.values()))}", hint="fewer bits (--weights int4g128), or fewer experts a block (--experts)",
        )  # fmt: skip

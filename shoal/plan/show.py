"""A front of plans for people and for machines: the placement preview before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.graph import Graph
from shoal.plan.values import Front, Plan
from shoal.units import format_bytes, format_joules, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def front_json(front: Front) -> dict[str, Any]:
    """The keys that `shoal plan --json` promises."""
    return {
        "front": [
            {
                "latency_s": plan.prediction.alone_latency_s,
                "throughput_items_per_s": plan.prediction.throughput_items_per_s,
                "energy_j": dict(plan.prediction.energy_j),
                "memory_bytes": dict(plan.prediction.memory_bytes),
                "placement": _placement(plan),
            }
            for plan in front.plans
        ],
        "chosen": front.chosen,
        "exact": front.exact,
        "reasons": list(front.plan.reasons),
    }


def print_front(graph: Graph, front: Front, output: Path, console: Console | None = None) -> None:
    """The chosen plan in full, why it is so, and the others in a line each."""
    from rich.console import Console

    out = console or Console()
    plan = front.plan
    out.print(
        f"[bold]{plan.model.name}[/]: {len(graph.ops)} ops, {graph.macs / 1e9:.2f} G multiply-accumulates, "
        f"{format_bytes(graph.weights_bytes)} of weights"
    )
    out.print(_chosen_table(graph, plan))
    for reason in plan.reasons:
        out.print(f"  • {reason}", highlight=False)
    out.print()
    out.print(_front_table(front))
    for note in front.notes:
        out.print(f"[dim]{note}; figures are predicted[/]", highlight=False)
    out.print(f"plan written to {output}; `shoal run {output}` runs it", highlight=False)


def _placement(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in plan.replicas[0].groups:
        found.setdefault(group.unit, []).extend(group.ops)
    return found


def _chosen_table(graph: Graph, plan: Plan) -> Table:
    from rich.table import Table

    figures = plan.prediction
    table = Table(title="Who runs what", title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("unit", "board", "engine"):
        table.add_column(name, overflow="fold")
    for name in ("ops", "work", "busy/item", "load", "J/item", "memory", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in plan.replicas[0].groups:
        device = plan.fleet.device(group.unit)
        macs = sum(graph.ops[graph.position[op]].macs for op in group.ops)
        busy_s = sum(plan.estimates[name].seconds for name in _segments(plan, group.unit))
        table.add_row(
            group.unit,
            device.board,
            group.engine,
            str(len(group.ops)),
            f"{macs / max(1, graph.macs):.0%}",
            format_seconds(busy_s),
            f"{busy_s / figures.period_s:.0%}",
            format_joules(figures.energy_j[device.name]),
            format_bytes(figures.memory_bytes[device.name]),
            format_bytes(
                min(device.memory_limit_bytes, plan.objective.memory_limit_bytes or device.memory_limit_bytes)
            ),
        )
    return table


def _segments(plan: Plan, unit: str) -> list[str]:
    return [name for name, where in plan.segment_units.items() if where == unit]


def _front_table(front: Front) -> Table:
    from rich.table import Table

    table = Table(title="The front", title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("units")
    for name in ("latency", "items/s", "max energy", "max memory"):
        table.add_column(name, justify="right")
    for number, plan in enumerate(front.plans):
        figures = plan.prediction
        mark = "▶" if number == front.chosen else " "
        table.add_row(
            f"{mark}{number:>2}",
            " → ".join(plan.units),
            format_seconds(figures.alone_latency_s),
            f"{figures.throughput_items_per_s:.3g}",
            format_joules(max(figures.energy_j.values())),
            format_bytes(max(figures.memory_bytes.values())),
            style="bold" if number == front.chosen else "",
        )
    return table

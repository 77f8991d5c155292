"""A front of plans for people and for machines: the placement preview before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.catalog import make
from shoal.graph import Graph, Op, divide
from shoal.plan.turns import together
from shoal.plan.values import GOALS, Front, Plan
from shoal.units import format_bytes, format_joules, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text


def front_json(front: Front) -> dict[str, Any]:
    """The keys that `shoal plan --json` promises."""
    return {
        "front": [
            {
                "latency_s": plan.prediction.alone_latency_s,
                "throughput_items_per_s": plan.prediction.throughput_items_per_s,
                "energy_j": dict(plan.prediction.energy_j),
                "memory_bytes": dict(plan.prediction.memory_bytes),
                "strategy": plan.recipe.strategy,
                "placement": placement_of(plan),
            }
            for plan in front.plans
        ],
        "chosen": front.chosen,
        "exact": front.exact,
        "reasons": list(front.plan.reasons),
    }


def placement_of(plan: Plan) -> dict[str, list[str]]:
    """Unit → its ops, of all replicas."""
    found: dict[str, list[str]] = {}
    for group in (group for replica in plan.replicas for group in replica.groups):
        found.setdefault(group.unit, []).extend(group.ops)
    return found


def print_front(graph: Graph, front: Front, output: Path, console: Console | None = None) -> None:
    """The chosen plan in full, why it is so, and the others in a line each."""
    from rich.console import Console

    out, plan = console or Console(highlight=False), front.plan
    out.print(
        f"{plan.model.name}: {len(graph.ops)} ops, {graph.macs / 1e9:.2f} G multiply-accumulates, "
        f"{format_bytes(graph.weights_bytes)} of weights\n",
        soft_wrap=True,
        markup=False,
    )
    out.print(_units_table(graph, plan))
    out.print(_devices_table(plan))
    out.print("[bold]Why[/]")
    out.print(_bulleted(plan.reasons))
    if len(front.plans) > 1:
        out.print(_front_table(front))
    for note in front.notes:
        out.print(f"[dim]{note}; figures are predicted[/]")
    verb = "run" if graph.written else "simulate"
    out.print(f"plan written to {output}; `shoal {verb} {output}` {verb}s it", soft_wrap=True, markup=False)


def _table(title: str, texts: tuple[str, ...], figures: tuple[str, ...]) -> Table:
    """Columns of text that may fold, then columns of figures that may not."""
    from rich.table import Table

    table = Table(title=f"[bold]{title}[/]", title_justify="left", title_style="", box=None, pad_edge=False,
                  header_style="dim")  # fmt: skip
    for name in texts:
        table.add_column(name, overflow="fold", no_wrap=name != texts[-1])
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _units_table(graph: Graph, plan: Plan) -> Padding:
    """Who runs what."""
    table = _table("Who runs what", ("unit", "engine", "first … last op"), ("ops", "work", "busy", "load"))
    divided = divide(graph, plan.splits).graph
    for share, group in ((replica.share, group) for replica in plan.replicas for group in together(replica.groups)):
        ops = [divided.ops[divided.position[name]] for name in group.ops]
        macs = sum(op.macs for op in ops) * share
        busy = sum(plan.estimates[name].seconds for name, unit in plan.segment_units.items() if unit == group.unit)
        table.add_row(
            group.unit,
            group.engine,
            _plain(_span(ops)),
            str(len(group.ops)),
            f"{macs / max(1, graph.macs):.0%}",
            format_seconds(busy),
            f"{busy * share / plan.prediction.period_s:.0%}",
        )
    return _spaced(table)


def _devices_table(plan: Plan) -> Padding:
    """What that asks of each device, per item."""
    table = _table("What each device gives", ("device", "board"), ("J/item", "sends/item", "memory", "limit"))
    figures = plan.prediction
    for name, memory in figures.memory_bytes.items():
        device = plan.fleet.device(name)
        limit = device.memory_limit_bytes
        table.add_row(
            name,
            device.board,
            format_joules(figures.energy_j[name]),
            format_bytes(figures.sent_bytes[name]),
            format_bytes(memory),
            format_bytes(min(limit, plan.objective.memory_limit_bytes or limit)),
        )
    return _spaced(table)


def _front_table(front: Front) -> Padding:
    """The plans in a line each."""
    from shoal.report.text import in_unit

    others = {goal: make("plan/objectives", goal) for goal in front.plan.objective.goals if goal not in GOALS}
    heads = (goal.partition(":")[0] for goal in others)
    table = _table("The front", ("", "units"), ("latency", "items/s", "max energy", "max memory", *heads))
    for number, plan in enumerate(front.plans):
        figures = plan.prediction
        chosen = number == front.chosen
        table.add_row(
            f"{'▶' if chosen else ' '}{number:>2}",
            plan.label,
            format_seconds(figures.alone_latency_s),
            f"{figures.throughput_items_per_s:.3g}",
            format_joules(max(figures.energy_j.values())),
            format_bytes(max(figures.memory_bytes.values())),
            *(in_unit(technique.predicted(figures), technique.unit) for technique in others.values()),
            style="bold" if chosen else "",
        )
    return _spaced(table)


def _bulleted(sentences: tuple[str, ...]) -> Padding:
    """Sentences, wrapped with a hanging indent."""
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    for sentence in sentences:
        table.add_row(" •", _plain(sentence))
    return _spaced(table)


def _spaced(table: Table) -> Padding:
    from rich.padding import Padding

    return Padding(table, (0, 0, 1, 0), expand=False)


def _plain(text: str) -> Text:
    """Text of others: names may hold brackets, which are no markup."""
    from rich.text import Text

    return Text(text)


def _span(ops: Sequence[Op]) -> str:
    """The first and last op, as the undivided model calls them; what only moves values is left out."""
    names = [op.origin or op.name for op in ops if op.origin] or [op.name for op in ops]
    return names[0] if names[0] == names[-1] else f"{names[0]} … {names[-1]}"

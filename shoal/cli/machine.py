"""What a model takes on one machine that is not here, on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shoal.cli import options
from shoal.units import format_joules, format_seconds

if TYPE_CHECKING:
    from shoal.sim.alone import Alone

LONGEST = 12  # ops that are listed
BAR = 30  # characters


def show(model: Path, machine: str, shapes: Sequence[str] = (), *, json: bool) -> None:
    """Each op's cycles, time and energy, the longest first; energy by component; what the machine has no unit for."""
    from shoal.sim.alone import alone

    graph, _ = options.model(model, shapes)
    found = alone(graph, machine)
    if json:
        options.emit(_facts(found))
        return
    out = Console(highlight=False)
    out.print(f"{graph.name} on [bold]{escape(machine)}[/bold]: {format_seconds(found.seconds)}, {found.cycles:,} cycles, "
              f"{format_joules(found.joules)}, simulated one op after another\n")  # fmt: skip
    out.print(_ops(found))
    out.print(_energy(found))
    for reason, kinds in _refusals(found).items():
        counted = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        out.print(
            f"[dim]refused {kinds.total()} of {len(found.ops)} ops:[/dim] {escape(reason)}: {escape(counted)}"
        )


def _ops(found: Alone) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("op", "kind"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=34)
    for name in ("M MAC", "cycles", "time", "share", "energy"):
        table.add_column(name, justify="right", no_wrap=True)
    longest = sorted(found.done, key=lambda op: -op.taken.seconds)
    for op in longest[:LONGEST]:
        table.add_row(escape(op.name), op.kind, f"{op.macs / 1e6:.2f}", f"{op.taken.cycles:,}",
                      format_seconds(op.taken.seconds), f"{op.taken.seconds / found.seconds:.0%}",
                      format_joules(op.taken.joules))  # fmt: skip
    if len(longest) > LONGEST:
        rest = sum(op.taken.seconds for op in longest[LONGEST:])
        table.add_row(
            f"… {len(longest) - LONGEST} more", "", "", "", format_seconds(rest), f"{rest / found.seconds:.0%}", ""
        )
    return table


def _energy(found: Alone) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title="\nEnergy by component")
    table.add_column("component")
    table.add_column("energy", justify="right", no_wrap=True)
    table.add_column("")
    for name, joules in sorted(found.energy_j.items(), key=lambda each: -each[1]):
        table.add_row(name, format_joules(joules), "█" * round(BAR * joules / found.joules))
    return table


def _refusals(found: Alone) -> dict[str, Counter[str]]:
    """Reasons without names of ops and their kinds, so that ops refused alike are told once; how many of each kind."""
    reasons: dict[str, Counter[str]] = {}
    for op in found.refused:
        what, _, rest = op.taken.refusal.partition(", op '")
        reason = (what + rest.partition("'")[2] if rest else what).replace(f" for '{op.kind}'", "")
        reasons.setdefault(reason, Counter())[op.kind] += 1
    return reasons


def _facts(found: Alone) -> dict[str, object]:
    return {
        "machine": found.machine,
        "seconds": found.seconds,
        "cycles": found.cycles,
        "energy_j": dict(found.energy_j),
        "provenance": "simulated",
        "ops": [asdict(op) for op in found.ops],
    }

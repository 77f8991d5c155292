"""Pictures of mappings: who does what in which cycle of an interval, and how busy each ALU is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shoal.machines.cgra import Mapping
from shoal.study._plaid_loops import Loops
from shoal.study.contract import Bar, Chart, Gantt, Series

SHOWN_CYCLES = 4  # of a mapping that is drawn, at most: its operations are to be read


def drawn(every: Sequence[Loops]) -> Iterator[Gantt | Chart]:
    """One loop on Plaid and on the conventional array, and all loops as maps of heat."""
    shown = max(
        every, key=lambda each: (each.plaid.ii <= SHOWN_CYCLES, len(each.plaid.motifs), len(each.graph.nodes))
    )
    for array, mapping in (("Plaid", shown.plaid), ("the conventional array", shown.conventional)):
        yield interval(f"A mapping: {shown.name} on {array}", mapping)
    for array, mappings in (("Plaid", [each.plaid for each in every]),
                            ("the conventional array", [each.conventional for each in every])):  # fmt: skip
        yield use(f"Use of the ALUs of {array}", [each.name for each in every], mappings)


def interval(title: str, mapping: Mapping) -> Gantt:
    """All operations of one interval, when the loop is under way: those of an iteration take several intervals."""
    nodes = zip(mapping.graph.nodes, mapping.units, mapping.times, strict=True)
    bars = [(time // mapping.ii, Bar(mapping.fabric.units[unit].name, time % mapping.ii, 1, f"{at} {node.op} {node.array}".strip(),
                                     _age(time // mapping.ii)))
            for at, (node, unit, time) in enumerate(nodes)]  # fmt: skip
    return Gantt(title, "cycle of the interval", tuple(unit.name for unit in mapping.fabric.units),
                 tuple(bar for _, bar in sorted(bars, key=lambda each: each[0])),
                 f"an iteration begins every {mapping.ii} cycles and takes {mapping.length}; number of the node, operation, "
                 "array; colours tell which iteration it is of")  # fmt: skip


def use(title: str, names: Sequence[str], mappings: Sequence[Mapping]) -> Chart:
    """The share of cycles in which each ALU works, when the loops are under way."""
    counts = [Counter(mapping.units) for mapping in mappings]
    units = mappings[0].fabric.units
    series = [Series(unit.name, names, [100 * count[at] / mapping.ii for count, mapping in zip(counts, mappings, strict=True)])
              for at, unit in enumerate(units)]  # fmt: skip
    return Chart(title, "loop", "cycles in which it works, %", tuple(series), kind="heat")


def _age(stage: int) -> str:
    return f"{stage} before" if stage else "newest iteration"

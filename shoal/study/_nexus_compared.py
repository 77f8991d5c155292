"""Five machines side by side on the same workloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from shoal.machines.nexus import LANES, Mapped, MessageArray, Outcome, Rival, cgra, systolic
from shoal.study._nexus_workloads import Workload
from shoal.study.contract import Chart, Finding, Series, Table

DENSE = "dense"


@dataclass(frozen=True, eq=False)
class Compared:
    """A workload on all machines, and on the array of messages with other routes."""

    workload: Workload
    array: MessageArray
    messages: Outcome
    adaptive: Outcome  # messages that choose between ways
    tia: Outcome  # products at their places only
    valiant: Outcome
    cgra: Mapped
    systolic: Rival

    @property
    def useful(self) -> float:
        """Share of the ALUs' cycles in which one does arithmetic of the algorithm, of the array of messages."""
        return self.workload.useful / self.messages.cycles / self.array.places

    def gain(self, other: Outcome | Rival) -> float:
        """How many times as fast as another the array of messages is."""
        return other.cycles / self.messages.cycles

    def rows(self) -> Iterator[tuple[str, str, int, float, float, float]]:
        """Machine after machine: cycles, what is useful and busy in per cent, nJ."""
        for name, each in (("Nexus", self.messages), ("TIA-like", self.tia), ("TIA-Valiant", self.valiant)):
            share = 100 * self.workload.useful / each.cycles / self.array.places
            busy = 100 * float(each.busy[:, 1].sum()) / each.cycles / self.array.places
            yield self.workload.name, name, each.cycles, share, busy, sum(self.array.energy_j(each).values()) * 1e9
        for name, other in (("generic CGRA", self.cgra), ("systolic", self.systolic)):
            yield self.workload.name, name, other.cycles, 100 * other.useful, 100 * other.busy, other.energy_j * 1e9


def compared(workload: Workload, array: MessageArray, lanes: int = LANES) -> Compared:
    """Run it everywhere; loops of the CGRA in so many lanes at most."""
    own = replace(array, values="float32") if workload.values == "float32" else array
    tia = replace(own, en_route=False)
    return Compared(
        workload, own, workload.run(own), workload.run(replace(own, routing="adaptive")), workload.run(tia), workload.run(replace(tia, valiant=True)),
        on_cgra(workload, own, lanes),
        systolic(own, workload.products, workload.dense_traffic, workload.useful),
    )  # fmt: skip


def on_cgra(workload: Workload, array: MessageArray, lanes: int = LANES, edge: int = 0) -> Mapped:
    """Its loops, mapped; with ports of the memory in so many columns, 0: in all."""
    return cgra(array, workload.loops, workload.traffic, workload.useful, workload.times, lanes, edge)


def findings(found: Sequence[Compared]) -> Iterator[Finding]:
    """About speed, use and energy."""
    uneven = [each for each in found if each.workload.kernel != DENSE]
    even = [each for each in found if each.workload.kernel == DENSE]
    yield _geomean("cgra", [each.gain(each.cgra) for each in uneven])
    yield _geomean("tia", [each.gain(each.tia) for each in uneven])
    yield _geomean("useful", [each.useful / each.cgra.useful for each in uneven])
    yield _geomean("busy", [_busy(each) / each.cgra.busy for each in uneven])
    yield _geomean(
        "energy", [each.cgra.energy_j / sum(each.array.energy_j(each.messages).values()) for each in uneven]
    )
    moved = [each.messages.on_the_way for each in uneven if each.workload.kernel != "BFS"]
    yield Finding("share", 100 * float(np.mean(moved)), "simulated", len(moved),
                  (100 * min(moved), 100 * max(moved)), "interval: all workloads with arithmetic on the way")  # fmt: skip
    yield Finding(
        "dense", max(each.systolic.cycles / each.messages.cycles for each in even), "simulated", len(even)
    )


def tables(found: Sequence[Compared]) -> Iterator[Table | Chart]:
    """All machines side by side, the CGRA's loops, and charts."""
    yield Table("Five machines", ("workload", "machine", "cycles", "useful, %", "busy, %", "energy, nJ"),
                [row for each in found for row in each.rows()],
                "equal ALUs, memory and port; useful: ALU cycles with arithmetic of the algorithm; busy: places that do "
                "anything for it, of the systolic array also with zeros")  # fmt: skip
    yield Table("On the way", ("workload", "made on the way, %", "TIA-like, ×", "adaptive routes, ×", "generic CGRA, ×"),
                [(each.workload.name, 100 * each.messages.on_the_way, each.gain(each.tia),
                  each.gain(each.adaptive), each.gain(each.cgra)) for each in found], "cycles over those of Nexus")  # fmt: skip
    yield Table("Loops on the CGRA", ("workload", "body", "lanes", "operations", "ResMII", "RecMII", "II found",
                                      "cycles of an iteration", "held up, %"),
                [(each.workload.name, each.cgra.body, each.cgra.lanes, each.cgra.nodes, each.cgra.resources,
                  each.cgra.recurrence, each.cgra.interval, each.cgra.length, 100 * each.cgra.held) for each in found],
                "the fastest loop of each workload; ResMII and RecMII: cycles between iterations that units with their ports, "
                "and cycles of values, ask for; held up: by requests to one bank, of the loop's cycles")  # fmt: skip
    uneven = [each for each in found if each.workload.kernel != DENSE]
    names = [each.workload.name for each in uneven]
    yield Chart("Times as fast", "workload", "cycles of the other over those of Nexus, ×", (
        Series("generic CGRA", names, [each.gain(each.cgra) for each in uneven]),
        Series("TIA-like", names, [each.gain(each.tia) for each in uneven]),
    ), kind="bars")  # fmt: skip


def exactness(found: Sequence[Compared]) -> Iterator[Finding]:
    """Values of every run against references in numpy."""
    for key, kernels in (
        ("integers", {"SpMV", "SpMSpM", "SDDMM", DENSE, "pruned"}),
        ("bfs", {"BFS"}),
        ("sssp", {"SSSP"}),
        ("pagerank", {"PageRank"}),
    ):
        offs = [each.workload.off(run) for each in found if each.workload.kernel in kernels
                for run in (each.messages, each.adaptive, each.tia, each.valiant)]  # fmt: skip
        yield Finding(key, max(offs), "computed", len(offs), why="of all four ways to run messages")


def accuracy(found: Sequence[Compared]) -> Table:
    """How far values are from a reference."""
    return Table("Values", ("workload", "computed in", "off the reference, of the largest"),
                 [(each.workload.name, each.array.values, each.workload.off(each.messages)) for each in found],
                 "whole numbers up to 32767 are computed as such, others in float32")  # fmt: skip


def heat(name: str, outcome: Outcome) -> Chart:
    """How busy the ALU of each place is, over time."""
    used = int(np.ceil(outcome.array_cycles / outcome.window))
    windows = range(min(used, outcome.history.shape[1]))
    return Chart(
        f"ALUs at work: {name}", "cycle", "share of cycles, one row a place", tuple(
            Series(f"place {place}", [window * outcome.window for window in windows],
                   [float(outcome.history[place, window]) / outcome.window for window in windows])
            for place in range(len(outcome.history))), kind="heat",
    )  # fmt: skip


def narrow(workloads: Sequence[Workload], array: MessageArray, ports: Sequence[int], lanes: int) -> Table:
    """What the width of the port, which is a choice, does."""
    rows = []
    for words in ports:
        own = replace(array, port_words=words)
        every = [compared(each, own, lanes) for each in workloads]
        rows.append(
            (words, _mean([each.gain(each.cgra) for each in every]), _mean([each.gain(each.tia) for each in every]))
        )
    return Table("The port's width", ("16-bit words a cycle", "generic CGRA, ×", "TIA-like, ×"), rows,
                 "geometric means of cycles over those of Nexus, " + ", ".join(each.name for each in workloads))  # fmt: skip


def edges(found: Sequence[Compared], lanes: int) -> Table:
    """What it does to the CGRA that only the processing elements of one edge have a port of the memory."""
    rows = []
    for edge in (1, found[0].array.columns):
        every = [on_cgra(each.workload, each.array, lanes, edge) for each in found]
        gains = [other.cycles / each.messages.cycles for each, other in zip(found, every, strict=True)]
        rows.append((edge * found[0].array.rows, _mean(gains)))
    return Table("The CGRA's ports of the memory", ("ports", "generic CGRA, ×"), rows,
                 "geometric means of cycles over those of Nexus, " + ", ".join(each.workload.name for each in found))  # fmt: skip


def efforts(found: Sequence[Compared], lanes: int) -> Table:
    """What it does to the comparison in how many lanes the CGRA's loops are tried."""
    uneven = [each for each in found if each.workload.kernel != DENSE]
    rows = []
    for most in sorted({each for each in (1, 2, 4, 8, lanes) if each <= lanes}):
        gains = {each: on_cgra(each.workload, each.array, most).cycles / each.messages.cycles for each in uneven}
        rest = [gain for each, gain in gains.items() if each.workload.kernel != "SSSP"]
        rows.append((most, _mean(list(gains.values())), _mean(rest)))
    return Table("Lanes of the CGRA's loops", ("lanes, at most", "generic CGRA, ×", "… without shortest paths, ×"), rows,
                 "geometric means of cycles over those of Nexus, all uneven workloads")  # fmt: skip


def swaps(found: Sequence[Compared]) -> Table:
    """What swaps of elements do after the greedy placement."""
    rows = []
    for each in found:
        greedy = each.workload.run(replace(each.array, swaps=False))
        hops = [run.counts["hop"] / each.array.message_bits for run in (greedy, each.messages)]
        rows.append((each.workload.name, each.gain(greedy), hops[0] / max(1.0, hops[1])))
    return Table("Swaps of placement", ("workload", "cycles without, ×", "hops without, ×"), rows,
                 "over those of Nexus with swaps")  # fmt: skip


def _busy(each: Compared) -> float:
    return float(each.messages.busy[:, 1].sum()) / each.messages.cycles / each.array.places


def _mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _geomean(key: str, values: Sequence[float], provenance: Literal["simulated"] = "simulated") -> Finding:
    return Finding(
        key, _mean(values), provenance, len(values), (min(values), max(values)), "interval: all workloads"
    )

"""All simulated machines and boards of the catalog on the same workloads, and a plan over unlike ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    words,
)

if TYPE_CHECKING:
    from shoal.study._machines_shown import Row

ALL = "all"
MIXED = {"board": "raspberry-pi-4b-4gb", "fpga": "alveo-u280-ternary", "light": "photonic-attention"}  # boards


@dataclass(frozen=True)
class Machines:
    """A layer of convolution, the products of attention, a sparse and a ternary layer on every machine that takes them.

    Machines run their models' cycles on weights of the workload and values that stand for data; boards go by the roofline
    of their data sheets, idle power counted. A fleet of a board, a ternary FPGA and photonic attention is planned and
    simulated with a small ternary transformer, beside the board alone and beside either pair.
    """

    boards: str = "raspberry-pi-5-8gb+jetson-orin-nano-8gb+rtx-3060-12gb"  # of the catalog
    machines: str = ALL  # or some: "systolic+nexus"
    layers: int = 2  # of the transformer
    width: int = 384  # of it
    tokens: int = 128  # that it sees
    items: int = 32  # that are simulated

    title = "Machines that are not here, side by side"
    source = Source("Williams, Waterman, Patterson", "Roofline: An Insightful Visual Performance Model for Multicore "
                    "Architectures", 2009, venue="CACM 52(4)")  # fmt: skip
    quick = "boards=raspberry-pi-5-8gb,machines=systolic,layers=1,width=64,tokens=16,items=4"
    claims = (
        Claim("taken", "machines that take none of the workloads", None, "", AtMost(0.0)),
        Claim(
            "sums", "energies by component add up to each machine's energy, and time is positive", None, "", Holds()
        ),
        Claim(
            "mixed_board", "items a second of board, FPGA and light over the board alone", None, "×", AtLeast(1.0)
        ),
        Claim("mixed_fpga", "… over board and ternary FPGA", None, "×", AtLeast(1.0)),
        Claim("mixed_light", "… over board and photonic attention", None, "×", AtLeast(1.0)),
        Claim("mixed_energy", "joules an item of the board alone over those of all three", None, "×", AtLeast(1.0)),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The workloads, then the fleet."""
        from shoal.study._machines_models import WORKLOADS

        rows = {}
        for name in bench.each(tuple(WORKLOADS), "workload"):
            rows[name] = self._rows(bench, name)
            yield _table(name, rows[name])
        yield _chart("Energy times delay", "J·s", {name: _delays(each) for name, each in rows.items()})
        yield self._roofline(bench, rows)
        yield from self._together(rows)
        yield from self._mixed(bench)

    def _rows(self, bench: Bench, name: str) -> list[Row]:
        from shoal.study._machines_models import WORKLOADS
        from shoal.study._machines_shown import on_boards, on_machines

        graph = WORKLOADS[name](bench.scratch)
        return [*on_machines(graph, self._machines), *on_boards(graph, words(self.boards))]

    def _roofline(self, bench: Bench, rows: dict[str, list[Row]]) -> Chart:
        """What each obtains of each workload, by how much the workload computes on a byte that it must move."""
        from shoal.study._machines_models import WORKLOADS
        from shoal.study._machines_roofs import roofs
        from shoal.study._machines_shown import intensity

        work = {name: intensity(WORKLOADS[name](bench.scratch)) for name in rows}
        names = dict.fromkeys(row.name for each in rows.values() for row in each)
        series = []
        for who in names:
            found = [
                (work[name], row)
                for name, each in rows.items()
                for row in each
                if row.name == who and not row.refusal
            ]
            series.append(
                Series(
                    who,
                    tuple(at.flop_per_byte for at, _ in found),
                    tuple(at.flop / row.seconds for at, row in found),
                )
            )
        return Chart("Arithmetic a second over arithmetic a byte", "flop/byte", "flop/s", (*series, *roofs(series)),
                     kind="points", log_x=True, log_y=True,
                     note="a point for each workload that is taken; lines are peak, and memory with a machine's own bits a value; "
                     "zeros of the sparse layer count as arithmetic, so one that leaves them out may lie above its line")  # fmt: skip

    @property
    def _machines(self) -> tuple[str, ...]:
        from shoal import catalog
        from shoal.machines.accelerators import FAMILY

        return catalog.names(FAMILY) if self.machines == ALL else words(self.machines)

    def _together(self, rows: dict[str, list[Row]]) -> Iterator[Shown]:
        idle = [
            name
            for name in self._machines
            if all(row.refusal for each in rows.values() for row in each if row.name == name)
        ]
        yield Finding("taken", len(idle), "simulated", len(self._machines), why=", ".join(idle))
        taken = [row for each in rows.values() for row in each if not row.refusal]
        yield Finding("sums", all(row.seconds > 0 and row.energy_j > 0 for row in taken), "simulated", len(taken))

    def _mixed(self, bench: Bench) -> Iterator[Shown]:
        """Four fleets, one of all three."""
        from shoal.study._machines_mixed import simulated_on
        from shoal.study._machines_models import transformer

        graph = transformer(bench.scratch, self.layers, self.width, self.tokens)
        fleets = {"board": (), "board, FPGA": ("fpga",), "board, light": ("light",), "all": ("fpga", "light")}
        found = {}
        for name, extra in fleets.items():
            bench.say(f"a fleet of {name}")
            found[name] = simulated_on(graph, MIXED, extra, self.items)
        yield Table("A ternary transformer over unlike machines",
                    ("fleet", "ms an item", "latency, ms", "mJ an item", "who runs how many ops"),
                    [(name, each.period_s * 1e3, each.latency_s * 1e3, each.energy_j * 1e3, each.shares)
                     for name, each in found.items()],
                    note="planned by `auto`, carried out by the simulator")  # fmt: skip
        whole = found["all"]
        for key, other in (
            ("mixed_board", "board"),
            ("mixed_fpga", "board, FPGA"),
            ("mixed_light", "board, light"),
        ):
            yield Finding(key, found[other].period_s / whole.period_s, "simulated", self.items)
        yield Finding("mixed_energy", found["board"].energy_j / whole.energy_j, "simulated", self.items)
        yield Note("Why: the FPGA, which holds ternary weights on the chip, has no unit for products of two tensors; light "
                   "takes those, and shares the ternary ones with it; the board keeps normalisation, softmax and sums.")  # fmt: skip


def _table(name: str, rows: list[Row]) -> Table:
    shown = [
        (row.name, row.kind, row.seconds * 1e6, row.energy_j * 1e6, row.delay_js * 1e12, row.carbon_kg * 1e12) if not row.refusal
        else (row.name, row.kind, None, None, None, None)
        for row in rows
    ]  # fmt: skip
    from shoal.study._machines_shown import GRID

    refused = "; ".join(f"{row.name}: {row.refusal}" for row in rows if row.refusal)
    return Table(name, ("who", "", "time, µs", "energy, µJ", "energy × delay, pJ·s", "CO2e, ng"), shown,
                 note=f"electricity at {GRID}; {refused}")  # fmt: skip


def _delays(rows: list[Row]) -> dict[str, float | None]:
    return {row.name: None if row.refusal else row.delay_js for row in rows}


def _chart(title: str, unit: str, figures: dict[str, dict[str, float | None]]) -> Chart:
    series = tuple(Series(name, tuple(each), tuple(each.values())) for name, each in figures.items())
    return Chart(title, "machine or board", unit, series, kind="bars", log_y=True)

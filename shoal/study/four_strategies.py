"""Every way to divide a network, and the energy each asks of a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Series,
    Shown,
    Source,
    Table,
    Within,
    words,
)

if TYPE_CHECKING:
    from shoal.plan import Plan
    from shoal.study._bench import Model

FLEET = """
    [devices.unit]
    board = "{board}"
    count = {count}
    [default_link]
    bandwidth = "{mbit} Mbit/s"
    latency = "0.2 ms"
"""
DIVIDING = ("stage", "tile", "tile:depth=1", "channel_out", "channel_in", "channel_pair")
STRATEGIES = (*DIVIDING, "mixed", "frame")
UNEQUAL = (3.0, 2.0, 2.0, 1.0)  # shares of real runs, as many as there are parts
FAST_MBIT, SLOW_MBIT = 1000.0, 10.0


@dataclass(frozen=True)
class FourStrategies:
    """Each model is divided by every strategy over 2, 3 and 4 devices.

    Real processes on this machine, with unequal shares, show that outputs and payload bytes are exact. Equal boards
    are simulated at several link rates, items streaming: energy of a device is its idle power over the period, its
    busy power over its computing time, and joules for each byte sent and received.
    """

    models: str = "squeezenet+bvlc_alexnet+vgg19"  # light models, separated by +; directions are those of the last
    parts: str = "2+3+4"  # devices
    board: str = "raspberry-pi-4b-4gb"  # of the catalog, simulated
    rates: str = "1+5+10+50+100+300+1000"  # Mbit/s; 10 and 1000 always
    items: int = 4  # of each real run
    seed: int = 0  # of weights and inputs

    title = "Four partitioning strategies: which cut saves energy on each device"
    source = Source(
        "Tang, Guo, Stefanov",
        "The Effects of Partitioning Strategies on Energy Consumption in Distributed CNN Inference at The Edge",
        2022,
        arxiv="2210.08392",
    )
    quick = "models=squeezenet,parts=2,rates=10+1000,items=2"
    claims = (
        Claim("same", "every strategy answers like the undivided network", None, "", Holds()),
        Claim("bytes", "payload bytes at the sockets are those of the strategy's formula", None, "", Holds()),
        Claim("channels", "channel strategies: weights of a device over its share, most", 1.0, "", AtMost(1.05)),
        Claim("tile", "tile: weights of the first device over the model's", 1.0, "", Within()),
        Claim("stage", "stage at 1 Gbit/s, most devices: mean energy over one device's", None, "", AtMost(1.0)),
        Claim(
            "slow", "channel_out at 10 Mbit/s, most devices: mean energy over one device's", None, "", AtLeast(1.0)
        ),
        Claim("crossing", "there is a link rate from which channel_out saves energy", None, "", Holds()),
        Claim(
            "mixed", "mixed over the best strategy that divides, latency, most of all cases", None, "", AtMost(1.0)
        ),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Real runs, then boards."""
        yield from self._real(bench)
        yield from self._boards(bench)

    def _real(self, bench: Bench) -> Iterator[Shown]:
        rows, channels, tile = [], [], []
        for name in bench.each(words(self.models), "real runs:"):
            model = bench.model(name)
            for count in map(int, words(self.parts)):
                for strategy in DIVIDING:
                    bench.say(f"{name}, {count} processes, {strategy}")
                    row, held = self._once(bench, model, strategy, UNEQUAL[:count])
                    rows.append(row)
                    channels += [max(held)] if strategy.startswith("channel") else []
                    tile += [held[0] * UNEQUAL[0] / sum(UNEQUAL[:count])] if strategy == "tile" else []
        yield Finding("same", all(row[3] for row in rows), "measured", len(rows))
        yield Finding("bytes", all(row[4] == row[5] for row in rows), "measured", len(rows))
        yield Finding("channels", max(channels), "measured", len(channels))
        yield Finding("tile", max(tile), "measured", len(tile), (min(tile), max(tile)), "interval: all cases")
        heads = (
            "model",
            "devices",
            "strategy",
            "same",
            "B/item",
            "formula",
            "J/item mean",
            "J/item max",
            "MiB max",
        )
        yield Table("Real processes here, unequal shares; energy from measured busy time", heads, rows)

    def _once(
        self, bench: Bench, model: Model, strategy: str, shares: tuple[float, ...]
    ) -> tuple[tuple[Any, ...], list[float]]:
        """A row of the table, and the weights each device holds over its share of the model's."""
        plan = self._plan(bench, model, strategy, "this-machine", len(shares), 10_000, shares)
        run = bench.run(plan, self.items, must_match=False)
        devices = list(run.devices.values())
        answers = sum(
            model.graph.tensors[name].bytes for name in model.graph.outputs
        )  # from the units to the client
        joules = [device.energy_j / run.items for device in devices]
        held = [
            d.weights_bytes / model.graph.weights_bytes / s * sum(shares)
            for d, s in zip(devices, shares, strict=True)
        ]
        row = (
            *(model.ref.name, len(shares), strategy, bool(run.outputs_match)),
            sum(device.sent_bytes for device in devices) // run.items,
            self._formula_bytes(model, plan, strategy, shares) + answers,
            *(round(mean(joules), 3), round(max(joules), 3)),
            round(max(device.resident_bytes or 0 for device in devices) / (1 << 20)),
        )
        return row, held

    def _formula_bytes(self, model: Model, plan: Plan, strategy: str, shares: tuple[float, ...]) -> int:
        from shoal.plan.costs import costs_of
        from shoal.plan.problem import Problem

        costs = costs_of(model.graph, plan.fleet, measure=False)
        problem = Problem(model.graph, plan.fleet, plan.objective, costs, plan.window, plan.fleet.unit_names)
        formula: int = catalog.make("plan/strategies", strategy).transfer_bytes(problem, shares)
        return formula

    def _boards(self, bench: Bench) -> Iterator[Shown]:
        rows: list[tuple[Any, ...]] = []
        ratios: list[float] = []
        energy: dict[tuple[str, float], float] = {}  # of the last model on most devices, by strategy and rate
        rates = sorted({FAST_MBIT, SLOW_MBIT, *map(float, words(self.rates))})
        for name in bench.each(words(self.models), "boards:"):
            model = bench.model(name)
            alone = self._figures(bench, model, "stage", 1, FAST_MBIT)
            rows.append((name, 1, "–", "–", *alone))
            for count in map(int, words(self.parts)):
                for mbit in rates:
                    found = {each: self._figures(bench, model, each, count, mbit) for each in STRATEGIES}
                    rows += [(name, count, mbit, each, *figures) for each, figures in found.items()]
                    best_s = min(found[each][1] for each in DIVIDING)
                    ratios.append(found["mixed"][1] / best_s)
                    energy |= {(each, mbit): figures[2] / alone[2] for each, figures in found.items()}
        yield Finding("stage", energy["stage", FAST_MBIT], "simulated", 1)
        yield Finding("slow", energy["channel_out", SLOW_MBIT], "simulated", 1)
        saving = [mbit for mbit in rates if energy["channel_out", mbit] < 1]
        why = f"from {min(saving):g} Mbit/s on" if saving else f"none up to {max(rates):g} Mbit/s"
        yield Finding("crossing", bool(saving), "simulated", len(rates), why=why)
        yield Finding(
            "mixed", max(ratios), "predicted", len(ratios), (min(ratios), max(ratios)), "interval: all cases"
        )
        heads = ("model", "devices", "Mbit/s", "strategy", "period s", "latency s", "J/item mean", "J/item max",
                 "MiB max", "B/item")  # fmt: skip
        yield Table(f"{self.board}, equal shares, items streaming", heads, rows)
        lines = tuple(Series(each, rates, [energy[each, mbit] for mbit in rates]) for each in STRATEGIES)
        title = (
            f"{words(self.models)[-1]} on {max(map(int, words(self.parts)))} devices: mean energy over one device's"
        )
        yield Chart(title, "Mbit/s", "ratio", lines, log_x=True, log_y=True)

    def _figures(self, bench: Bench, model: Model, strategy: str, count: int, mbit: float) -> tuple[float, ...]:
        """Period, latency alone, mean and largest joules of a device, largest MiB, bytes; an item, simulated."""
        plan = self._plan(bench, model, strategy, self.board, count, mbit, (1.0,) * count)
        figures = plan.prediction
        joules = [
            figures.energy_j.get(device.name, device.idle_w * figures.period_s) for device in plan.fleet.devices
        ]
        return (
            *(figures.period_s, figures.alone_latency_s, mean(joules), max(joules)),
            *(max(figures.memory_bytes.values()) / (1 << 20), sum(figures.sent_bytes.values())),
        )

    def _plan(
        self,
        bench: Bench,
        model: Model,
        strategy: str,
        board: str,
        count: int,
        mbit: float,
        shares: tuple[float, ...],
    ) -> Plan:
        """The strategy's plan with those shares."""
        fleet = bench.fleet(FLEET.format(board=board, count=count, mbit=mbit))
        wishes: dict[str, Any] = {"strategy": strategy, "shares": shares, "engines": ("onnxruntime",)}
        return bench.front(model, fleet, profile=False, **wishes).plan

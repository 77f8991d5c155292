"""An image through the published network on the modelled machine, with each idea and without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from shoal.errors import ShoalError
from shoal.machines.accelerators import Ran
from shoal.machines.accelerators.edge_moe import EdgeMoe
from shoal.machines.edge_moe import (
    SCHEDULES,
    Shape,
    Ways,
    check,
    drawn_choices,
    frame,
    parts,
    port_words,
    separate,
)
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table

PUBLISHED_S, PUBLISHED_W = 34.6e-3, 14.5
SLOTS = (1, 2, 4, 8, 16)


class Frames:
    """With choices of random gates."""

    def __init__(self, seed: int) -> None:
        self.machine, self.shape = EdgeMoe(), Shape()
        self.chosen = drawn_choices(self.shape, seed)

    @cached_property
    def whole(self) -> Ran:
        """All ideas used."""
        return frame(self.machine, self.shape, self.chosen)

    def shown(self) -> Iterator[Shown]:
        """Ports, time, energy, what ideas are worth, blocks."""
        yield from self._ports()
        yield from self._time()
        yield from self._ideas()
        yield from self._blocks()
        spared = 1 - self.shape.macs() / self.shape.macs(all_experts=True)
        experts = 1 - self.shape.chosen / self.shape.experts
        yield Finding("computation", 100 * spared, "computed",
                      why=f"of the whole network; {100 * experts:.1f} % of the layers with experts")  # fmt: skip

    def _ports(self) -> Iterator[Shown]:
        tokens = self.shape.tokens
        words = {name: [port_words(tokens, tokens, slots, name)[0] for slots in SLOTS] for name in SCHEDULES}
        yield Finding("ports", len(set(words["skewed"])) == 1, "simulated", len(SLOTS))
        yield Finding("ports_naive", words["rows"][-1] / words["rows"][0], "simulated", len(SLOTS))
        series = tuple(Series(name, list(SLOTS), found) for name, found in words.items())
        yield Chart("Words a cycle that attention needs at most", "rows of queries at a time", "words a cycle", series,
                    log_x=True)  # fmt: skip
        yield Table("Words a cycle that attention needs at most, queries and keys", (
            "rows of queries at a time", *words), [(slots, *(each[at] for each in words.values())) for at, slots in
            enumerate(SLOTS)])  # fmt: skip

    def _time(self) -> Iterator[Shown]:
        ran = self.whole
        yield Finding("latency", _factor(PUBLISHED_S, ran.seconds), "simulated",
                      why=f"{ran.seconds * 1e3:.1f} ms without stalls of bursts and pipelines, which are not modelled")  # fmt: skip
        yield Finding("energy", _factor(PUBLISHED_S * PUBLISHED_W, ran.joules), "simulated",
                      why=f"{ran.joules:.3f} J, {ran.joules / ran.seconds:.1f} W; the published ones are from memory")  # fmt: skip
        busy: Counter[str] = Counter()
        for span in ran.trace:
            busy[span.part] += span.end - span.begin
        yield Table("Cycles of an image by unit", ("unit", "cycles", "of all, %"), [
            (unit, cycles, 100 * cycles / ran.cycles) for unit, cycles in busy.most_common()],
            note="weights are loaded while other units compute")  # fmt: skip
        yield Table("Energy of an image", ("component", "mJ"), [(name, 1e3 * each) for name, each in ran.energy_j.items()],
                    note="static: an assumed 10 W of the board; events: rows of the energy table of 16 nm, all assumed")  # fmt: skip

    def _ideas(self) -> Iterator[Shown]:
        rows: list[tuple[str, float, float, float]] = [self._row("all", self.whole)]
        without = {
            "two_pass": Ways(single_pass=False), "token_order": Ways(order="tokens"),
            "naive_rows": Ways(attention="rows"), "naive_columns": Ways(attention="columns"),
        }  # fmt: skip
        for key, ways in without.items():
            ran = frame(self.machine, self.shape, self.chosen, ways)
            rows.append(self._row(key.replace("_", " "), ran))
            yield Finding(key, ran.seconds / self.whole.seconds, "simulated")
        single = replace(self.machine, buffers=1)
        ran = frame(single, self.shape, self.chosen)
        rows.append(self._row("one buffer", ran))
        yield Finding("one_buffer", ran.seconds / self.whole.seconds, "simulated")
        nothing = Ways("tokens", "columns", single_pass=False)
        rows.append(self._row("none of them", frame(single, self.shape, self.chosen, nothing)))
        same = [np.tile(np.arange(self.shape.chosen), (self.shape.tokens, 1)) for _ in self.chosen]
        rows.append(self._row("all, every token to the same experts", frame(self.machine, self.shape, same)))
        yield Table("An image with ideas left out", ("without", "ms", "mJ", "MB of memory"), rows)

    def _row(self, name: str, ran: Ran) -> tuple[str, float, float, float]:
        return name, ran.seconds * 1e3, ran.joules * 1e3, ran.counters["ddr"] / 1e6

    def _blocks(self) -> Iterator[Shown]:
        one, several = parts(self.machine), separate(self.machine, self.shape)
        fits = _refusal(lambda: check(self.machine, one)) == ""
        yield Finding("fits", fits, "computed")
        ratio = sum(each.dsp for each in several) / sum(each.dsp for each in one)
        refusal = _refusal(lambda: check(self.machine, several))
        yield Finding("separate", ratio, "computed", why=refusal or "these fit the device as well")
        yield Table("Blocks of the device", ("part", "DSP", "BRAM"), [
            *((each.name, each.dsp, each.bram) for each in one),
            *((name, sum(each.dsp for each in made), sum(each.bram for each in made))
              for name, made in (("all", one), ("all, a linear unit for each kind of layer", several))),
            ("the device", self.machine.dsp_blocks, self.machine.bram_blocks),
        ], note="circuits of logic alone (exponential, division, control) are left out")  # fmt: skip
        yield Note(
            "The board's static power and all energies of events are assumptions; latency follows from structure."
        )


def refused() -> Finding:
    """Networks and designs that cannot be."""
    machine, shape = EdgeMoe(), Shape()
    tries: dict[str, Callable[[], object]] = {
        "needed at most 16, had 17": lambda: replace(shape, chosen=17),
        "needed a multiple of 8 features, had 60": lambda: frame(machine, replace(shape, width=180), drawn_choices(shape)),
        "too few BRAM blocks": lambda: EdgeMoe(weight_buffer_bytes=4 << 20),
        "a tile's weights exceed the buffer": lambda: frame(
            replace(machine, weight_buffer_bytes=4096), shape, drawn_choices(shape)),
    }  # fmt: skip
    said = {wanted: _refusal(make) for wanted, make in tries.items()}
    return Finding("refused", all(wanted in text for wanted, text in said.items()), "computed", len(said),
                   why="; ".join(said.values()))  # fmt: skip


def _refusal(make: Callable[[], object]) -> str:
    try:
        make()
    except ShoalError as fault:
        return str(fault)
    return ""


def _factor(published: float, found: float) -> float:
    return max(published / found, found / published)

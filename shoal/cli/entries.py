"""Plans and simulations of a language model's entries, made from its configuration alone, for people and for machines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shoal import catalog, codec
from shoal.cli import options
from shoal.errors import InputError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.llm.outlook import DECODE, ENTRIES, PREFILL, Outlook, Pace, both_bytes
from shoal.llm.planning import plan_entry
from shoal.llm.request import Request, plan_request
from shoal.plan import Front, Plan, Wishes
from shoal.plan.show import front_json, print_front
from shoal.report import print_table, summary
from shoal.run.simulated import simulated
from shoal.units import format_bytes, format_joules, format_seconds


@dataclass(frozen=True)
class Answer:
    """The plans of each entry, and what a request takes if they were chosen for one."""

    fronts: dict[str, Front]
    request: Request | None = None


@dataclass(frozen=True)
class Question:
    """What to plan of a model."""

    config: Path
    fleet: Fleet
    wishes: Wishes
    entry: str  # "prefill", "decode"; empty: both
    sizes: Mapping[str, str | int]  # what items bring and how blocks are cut, by the names of the entries' options
    together: bool  # prefill runs where decode does
    new: int  # tokens of a request that both are chosen for; 0: each for itself

    def answered(self) -> Answer:
        """The plans of each entry.

        Raises:
            InputError: there is no such entry, a size is out of range, or what is asked contradicts itself.
            LimitError: the fleet does not hold the model.
        """
        if not self.new:
            return Answer(self._fronts())
        if self.entry or self.together:
            raise InputError(
                "a request has both entries, each where it suits",
                where="--answer",
                needed="neither --entry nor --together",
            )
        spelled = {name: self._spelled(name) for name in ENTRIES}
        return Answer(*plan_request(self.config, spelled, self.fleet, self.wishes, self.new))

    def _fronts(self) -> dict[str, Front]:
        if self.entry not in ("", *ENTRIES):
            hint = catalog.nearest(self.entry, ENTRIES)
            raise InputError(f"no entry is called '{self.entry}'", where="--entry", hint=hint)
        found: dict[str, Front] = {}
        for name in (self.entry,) if self.entry else (DECODE, PREFILL):
            placed = found[DECODE].plan if self.together and found else None
            found[name] = plan_entry(self.config, self._spelled(name), self.fleet, self.wishes, placed)
        return found

    def _spelled(self, entry: str) -> str:
        """The entry with those of the sizes that it has."""
        has = {field.name for field in fields(catalog.find("llm/blocks", entry))}
        return f"{entry}:{','.join(f'{name}={value}' for name, value in self.sizes.items() if name in has)}"


def tell(answer: Answer, output: Path, *, json: bool) -> None:
    """The fronts, each written below `output`, and what follows for the model's users."""
    fronts, request = answer.fronts, answer.request
    outlooks = {name: Outlook(front.plan, Pace.planned(front.plan)) for name, front in fronts.items()}
    if json:
        told = {name: front_json(front) | outlooks[name].facts for name, front in fronts.items()}
        options.emit(told | ({"request": request.facts} if request else {}))
        return
    for name, front in fronts.items():
        model = front.plan.model
        graph: Graph = catalog.make("llm/blocks", model.entry).graph(model.path)
        print_front(graph, front, output / name)
        sys.stdout.write("\n")
    _show(outlooks)
    if request:
        sys.stdout.write(_of_request(request) + "\n")


def simulate(folder: Path, items: int | None, output: Path, *, json: bool) -> None:
    """The plans of a folder's entries in simulated time; runs go to files of their own."""
    found = {name: options.plan(folder / name) for name in options.entries_in(folder)}
    runs = {name: simulated(each, items or options.ITEMS) for name, each in found.items()}
    files = {name: output.with_stem(f"{output.stem}-{name}") for name in runs}
    for name, run in runs.items():
        codec.save(run, files[name])
    outlooks = {name: Outlook(found[name], Pace.of(run)) for name, run in runs.items()}
    if json:
        options.emit({name: summary(run) | outlooks[name].facts for name, run in runs.items()})
        return
    for run in runs.values():
        print_table(run)
    _show(outlooks)
    sys.stdout.write(f"\nruns written to {' and '.join(map(str, files.values()))}\n")


def _show(found: Mapping[str, Outlook]) -> None:
    """What users of the model see, and what its devices hold."""
    out = Console(highlight=False)
    for line in _told(found):
        out.print(line, soft_wrap=True, markup=False)
    if len(found) == len(ENTRIES):
        out.print(_memory(found[PREFILL].plan, found[DECODE].plan))


def _told(found: Mapping[str, Outlook]) -> Sequence[str]:
    lines = []
    if each := found.get(PREFILL):
        facts, pace = each.facts, each.pace
        lines.append(
            f"first token after {format_seconds(pace.alone_s)}; {facts['prompts_per_s']:.3g} prompts/s when full, "
            f"{format_joules(facts['energy_j_per_prompt'])} each"
        )
    if each := found.get(DECODE):
        facts, pace = each.facts, each.pace
        lines.append(
            f"{facts['tokens_per_s']:.3g} tokens/s with {each.batch * each.plan.window} sequences in flight, "
            f"{format_joules(facts['energy_j_per_token'])} each; one sequence alone: {1 / pace.alone_s:.3g} tokens/s"
        )
    return lines


def _of_request(found: Request) -> str:
    """In a sentence."""
    moved = (
        f"{format_bytes(sum(found.moved_bytes.values()))} of the prompt's states moved in {format_seconds(found.moved_s)}, "
        if found.moved_bytes
        else ""
    )
    return (f"a request: first token after {format_seconds(found.first_token_s)}, {moved}{found.new} more by "
            f"{format_seconds(found.seconds)}, {format_joules(found.joules)}")  # fmt: skip


def _memory(prefill: Plan, decode: Plan) -> Table:
    """Of each device, for each entry and for both at once."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("device", no_wrap=True)
    for name in ("prefill", "decode", "both at once", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    for device, together in both_bytes(prefill, decode).items():
        limit = decode.fleet.device(device).memory_limit_bytes
        each = (plan.prediction.memory_bytes.get(device, 0) for plan in (prefill, decode))
        cells = [format_bytes(size) if size else "–" for size in each]
        table.add_row(device, *cells, f"{format_bytes(together)}{' !' * (together > limit)}", format_bytes(limit))
    return table

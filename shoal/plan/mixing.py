"""A number format for each layer, chosen together with the unit that runs it, for an error that answers may have.

Two questions in turn until neither answer changes: which formats take the least time on the units that hold the
layers now (an integer programme over measured times, the losses of layers added up against a budget), and which plan
is best for the model in these formats. The budget is the largest with which the whole model, coded and run on the
samples, stays below the error. The programme is that of OHQ, arXiv 2309.01945, whose latencies are of one device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from shoal import catalog
from shoal.compress import choices, compress, layers_of, opened
from shoal.compress.calibrate import Arrays
from shoal.compress.contract import Technique
from shoal.cost import CostKey, Costs
from shoal.errors import InputError, LimitError, PlanError
from shoal.fleet import Fleet
from shoal.formats import make
from shoal.graph import Graph, load, save
from shoal.plan.costs import costs_of
from shoal.plan.problem import usable_engines
from shoal.plan.search import search
from shoal.plan.values import Front, ModelRef
from shoal.plan.wishes import Wishes
from shoal.search import Milp

PLAIN = "float32"
AUTO = ("int4g32", "int8g32", PLAIN)  # formats whose products have kernels on every machine
ROUNDS = 3  # of formats and plans in turn
STEPS = 6  # of the budget's halvings
SCALE = 100.0  # of the largest cost in the programme: the solver's tolerances are absolute

log = logging.getLogger("shoal.plan")

Spent = Mapping[str, Mapping[str, Mapping[str, float]]]  # format → layer → unit → seconds, or joules
Formats = Mapping[str, str]  # layer → format


@dataclass(frozen=True)
class Mixed:
    """What came of it."""

    formats: Formats
    error: float  # of the answers, relative in the L2 norm, on the samples
    model: Path
    graph: Graph
    front: Front


@dataclass(frozen=True)
class Mixing:
    """The question: a model, machines, and how much the answers may be off."""

    model: Path
    fleet: Fleet
    wishes: Wishes
    samples: Sequence[Arrays]
    most_error: float  # of the answers, relative in the L2 norm, on the samples
    formats: Sequence[str] = AUTO
    techniques: Sequence[str] = ("rtn",)
    shapes: Mapping[str, tuple[int, ...]] | None = None
    sizes: Mapping[str, int] | None = None
    measure: bool = True  # ops that were never measured on this machine

    def solve(self, folder: Path) -> Mixed:
        """The formats, the model in them (a file in `folder`), and its plans.

        Raises:
            InputError: samples, formats or techniques that do not fit the model.
            LimitError: no mix of these formats stays below the error; says what the most exact one reaches.
        """
        if not self.most_error > 0:
            raise InputError("no error to stay below", where="--error", needed="above 0", had=str(self.most_error))
        with TemporaryDirectory(prefix="shoal-") as scratch:
            return self._solved(_Coder(self, Path(scratch)), folder)

    def _solved(self, coder: _Coder, folder: Path) -> Mixed:
        graph = coder.plain
        ops = [layer.op for layer in layers_of(graph)]
        owners = _owners(self._front(graph))  # of the model as it is: what contradicts the fleet is found here
        losses, spent = self._losses(graph), self._spent(graph, coder)
        found: Mixed | None = None
        for _ in range(ROUNDS):
            units = {op: owners[op] for op in ops}
            left = _possible(losses, spent, units)
            formats = self._within(partial(_cheapest, left, spent, units), left, coder)
            if found is not None and formats == found.formats:
                break
            found = self._planned(formats, coder, folder)
            owners = _owners(found.front)
        assert found is not None
        return found

    def _units(self, graph: Graph) -> tuple[str, ...]:
        return tuple(
            unit for unit in self.fleet.unit_names if usable_engines(graph, self.fleet, unit, self.wishes.engines)
        )

    def _losses(self, graph: Graph) -> dict[str, dict[str, float]]:
        """What each layer loses in each format that fits it."""
        coded = [name for name in self.formats if name != PLAIN]
        found = {
            op: {each.format: each.loss for each in some}
            for op, some in choices(graph, self.samples, coded).items()
        }
        if PLAIN in self.formats:
            for each in found.values():
                each[PLAIN] = 0.0
        return found

    def _spent(self, graph: Graph, coder: _Coder) -> Spent:
        """What each layer takes in each format on each unit, by the engine that takes least of it."""
        found = {}
        for name in self.formats:
            coded = coder.uniform(name)
            costs = costs_of(coded, self.fleet, measure=self.measure)
            found[name] = {
                layer.op: {
                    unit: self._least(coded, costs, unit, _ops_of(coded, layer.op)) for unit in self._units(coded)
                }
                for layer in layers_of(graph)
            }
        return found

    def _least(self, graph: Graph, costs: Costs, unit: str, ops: Sequence[int]) -> float:
        """Seconds; joules, those of waiting included, where energy comes first. inf: it cannot run there."""
        sparing = self.wishes.objective.goals[0] == "energy"
        amounts = []
        for engine in usable_engines(graph, self.fleet, unit, self.wishes.engines):
            seconds = float(costs.op_seconds(unit, engine)[list(ops)].sum())
            if sparing and np.isfinite(seconds):
                key = CostKey(tuple(graph.ops[index].name for index in ops), unit, engine)
                amounts.append(costs.estimate(key).joules + self.fleet.device(unit).idle_w * seconds)
            else:
                amounts.append(seconds)
        return min(amounts)

    def _within(
        self, cheapest: Callable[[float], Formats], losses: Mapping[str, Mapping[str, float]], coder: _Coder
    ) -> Formats:
        """The formats of the largest budget that keeps the error."""
        exact = sum(min(each.values()) for each in losses.values())
        most = sum(max(each.values()) for each in losses.values())
        if coder.error(cheapest(most)) <= self.most_error:
            return cheapest(most)
        kept = cheapest(exact)
        reached = coder.error(kept)
        if reached > self.most_error:
            raise LimitError(
                "no mix of these formats stays below the error", needed=f"{self.most_error:.3%}",
                had=f"{reached:.3%} in the most exact ones", hint="add float32 or int8 to --formats",
            )  # fmt: skip
        low, high = max(exact, most * 1e-6), most
        for _ in range(STEPS):
            budget = float(np.sqrt(low * high))
            tried = cheapest(budget)
            if coder.error(tried) <= self.most_error:
                low, kept = budget, tried
            else:
                high = budget
        return kept

    def _planned(self, formats: Formats, coder: _Coder, folder: Path) -> Mixed:
        graph = coder.graph(formats, folder)
        return Mixed(formats, coder.error(formats), Path(graph.source), graph, self._front(graph))

    def _front(self, graph: Graph) -> Front:
        reference = ModelRef(self.model.stem, graph.source, graph.sha256)
        return search(graph, reference, self.fleet, costs_of(graph, self.fleet, measure=self.measure), self.wishes)


class _Coder:
    """Codes the model in this or that mix; each is done once."""

    def __init__(self, question: Mixing, scratch: Path) -> None:
        self._question, self._scratch = question, scratch
        self.plain = opened(question.model, question.shapes, question.sizes, scratch)
        self._techniques: list[Technique] = [
            catalog.make("compress/techniques", each) for each in question.techniques
        ]
        self._errors: dict[frozenset[tuple[str, str]], float] = {}

    def error(self, formats: Formats) -> float:
        """Of the answers, coded so."""
        key = frozenset(formats.items())
        if key not in self._errors:
            self.graph(formats, self._scratch / "tried")
        return self._errors[key]

    def uniform(self, name: str) -> Graph:
        """The model in one format."""
        return self.graph(dict.fromkeys((layer.op for layer in layers_of(self.plain)), name), self._scratch / name)

    def graph(self, formats: Formats, folder: Path) -> Graph:
        """The model coded so, from a file in `folder`; layers that a format does not fit stay as they are."""
        fitting = {op: each for op, each in formats.items() if each != PLAIN and self._fits(op, each)}
        path = folder / "model.onnx"
        if not fitting:
            save(self.plain, path)
            self._errors[frozenset(formats.items())] = 0.0
            return load(path)
        skip = [layer.op for layer in layers_of(self.plain) if layer.op not in fitting]
        made = compress(self.plain, self._techniques, self._question.samples, fitting, skip)
        save(made.model, path)
        self._errors[frozenset(formats.items())] = max(made.output_error.values())
        log.info("%s: error %.3f %%", sorted(set(formats.values())), 100 * self._errors[frozenset(formats.items())])
        return load(path)

    def _fits(self, op: str, name: str) -> bool:
        columns = next(layer.shape[1] for layer in layers_of(self.plain) if layer.op == op)
        group = make(name).group
        return group <= 0 or columns % group == 0


def _cheapest(
    losses: Mapping[str, Mapping[str, float]],
    spent: Spent,
    units: Mapping[str, str],
    budget: float,
) -> dict[str, str]:
    """The formats of least time, or energy, with losses within the budget.

    Args:
        losses: of each layer in each format that it may have.
        spent: in each format, by layer and unit.
        units: of each layer, who runs it.
        budget: of all losses together.
    """
    programme, columns = Milp(), {}
    most = max(spent[name][op][units[op]] for op, each in losses.items() for name in each) or 1.0
    for op, each in losses.items():
        some = {name: programme.binary(cost=SCALE * spent[name][op][units[op]] / most) for name in each}
        programme.row([(column, 1.0) for column in some.values()], 1, 1)
        columns[op] = some
    programme.row(
        [(column, losses[op][name]) for op, some in columns.items() for name, column in some.items()],
        0,
        budget * (1 + 1e-9),
    )
    found = programme.solve()
    if not found.found:
        raise LimitError("no mix of these formats loses so little", needed=f"{budget:.3g}")
    return {op: next(name for name, column in some.items() if found.values[column]) for op, some in columns.items()}


def _possible(
    losses: Mapping[str, Mapping[str, float]], spent: Spent, units: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """The losses in formats that the layer's unit can run.

    Raises:
        PlanError: there are none for a layer.
    """
    found = {
        op: {name: lost for name, lost in each.items() if np.isfinite(spent[name][op].get(units[op], np.inf))}
        for op, each in losses.items()
    }
    for op, each in found.items():
        if not each:
            raise PlanError(f"layer '{op}' runs in none of the formats on '{units[op]}'", needed="one of another kind",
                            had=", ".join(losses[op]), hint="add int8 or float32 to --formats, or --pin it elsewhere")  # fmt: skip
    return found


def _owners(front: Front) -> dict[str, str]:
    """Who runs each op in the chosen plan; of several replicas, the first's."""
    groups = front.plan.replicas[0].groups
    return {op: group.unit for group in groups for op in group.ops}


def _ops_of(graph: Graph, layer: str) -> list[int]:
    """Where the ops stand that do a layer's work in the coded graph: its decode, its product, its sum."""
    found = [graph.position[layer]]
    if f"{layer}.product" in graph.position:
        found.append(graph.position[f"{layer}.product"])
    decodes = (name for name in graph.position if name.endswith(f".{layer}.decoded"))
    return [*found, *(graph.position[name] for name in decodes)]

"""A format for each layer: the least loss for so many bytes, seconds and joules, chosen by an integer programme.

What a layer loses tells a measure of the family `compress/sensitivities`; losses are added up, and so are bits, seconds
and joules. Source of the programme: OHQ, arXiv 2309.01945.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shoal import catalog
from shoal.compress._probes import FLOAT
from shoal.compress.calibrate import Arrays
from shoal.compress.costs import Costs, fits, stored_bits
from shoal.compress.fitting import finite
from shoal.compress.layers import Layer, layers_of
from shoal.compress.sensitivities.contract import Loss, Sensitivity
from shoal.errors import InputError, LimitError
from shoal.formats import make
from shoal.graph import Graph
from shoal.search import Milp
from shoal.units import format_bytes, format_joules, format_seconds

FAMILY = "compress/sensitivities"
SCALE = 100.0  # of the largest loss in the programme: the solver's tolerances are absolute
Options = Mapping[str, Sequence["Choice"]]  # of each layer, by op


@dataclass(frozen=True)
class Choice:
    """A layer in a format."""

    format: str  # "float32": as it is
    loss: float  # as its measure counts
    bits: int  # stored, of the whole layer
    latency_s: float = 0.0  # of the layer alone
    energy_j: float = 0.0
    activations: str = ""  # what it reads and gives is rounded to; layers that are tied have the same


@dataclass(frozen=True)
class Budget:
    """What all layers together may take at most; None: any amount."""

    bits: float | None = None  # stored
    latency_s: float | None = None
    energy_j: float | None = None
    weights: int = 0  # in the layers, to tell bits a weight; 0: bytes are told

    @property
    def limits(self) -> dict[str, float]:
        """Those that there are, by the name of the choice's field."""
        every = {"bits": self.bits, "latency_s": self.latency_s, "energy_j": self.energy_j}
        return {name: limit for name, limit in every.items() if limit is not None}

    def told(self, name: str, amount: float) -> str:
        """An amount of what is limited, in words."""
        if name == "bits":
            return f"{amount / self.weights:.4g} bits a weight" if self.weights else format_bytes(amount / 8)
        return format_seconds(amount) if name == "latency_s" else format_joules(amount)


WORDS = {"bits": "size", "latency_s": "latency", "energy_j": "energy"}


def choices(
    graph: Graph,
    samples: Sequence[Arrays],
    formats: Sequence[str],
    threads: int = 1,
    *,
    sensitivity: str = "output",
    costs: Costs | None = None,
    layers: Sequence[Layer] | None = None,
) -> dict[str, tuple[Choice, ...]]:
    """What each layer loses in each of the formats that fit it, by op, in the float network, and what it costs.

    Args:
        graph: as `compress` takes it.
        samples: inputs by name; none for measures that need none.
        formats: names; "float32" leaves a layer as it is.
        threads: of the runs on samples.
        sensitivity: the measure, with its options.
        costs: measured, for seconds and joules; without, these are 0.
        layers: only these; none: all.

    Raises:
        InputError: a layer fits none of the formats, or samples are missing or of the wrong shape.
    """
    measure: Sensitivity = catalog.make(FAMILY, sensitivity)
    for name in formats:
        if name != FLOAT:
            make(name)
    wanted = layers_of(graph) if layers is None else tuple(layers)
    finite(graph, wanted)
    found: dict[str, tuple[Choice, ...]] = {}
    for layer, loss in measure.measures(graph, wanted, samples, threads):
        fit = [name for name in formats if fits(layer, name)]
        found[layer.op] = tuple(_choice(layer, name, loss, costs) for name in fit)
        if not fit:
            raise InputError("the layer fits none of the formats", where=layer.op, needed=f"{layer.shape[1]} columns",
                             had=", ".join(formats))  # fmt: skip
    return found


def allocate(
    options: Options,
    budget: Budget,
    *,
    ties: Sequence[Sequence[str]] = (),
    alpha: float | None = None,
    reference: str = "int8",
) -> dict[str, str]:
    """The format of each layer with which all lose least within the budget.

    Args:
        options: of each layer, by op; with one alone the layer is fixed.
        budget: of all together.
        ties: ops of layers that take activations of the same format.
        alpha: none minimises the loss alone; else alpha · loss + (1 − alpha) · latency, each as a share of what it is
            with every layer in the `reference` format (its first where it has not that one).
        reference: see `alpha`.

    Raises:
        LimitError: no choice keeps the budget; it names the limit that binds and the least that could be kept.
        InputError: alpha is none, or there is nothing to weigh.
        MissingExtra: highspy is not installed.
    """
    found = _least(options, budget.limits, ties, _goal(options, alpha, reference))
    if found is None:
        raise _infeasible(options, budget, ties)
    return {op: each.format for op, each in found.items()}


def least(options: Options, budget: Budget, ties: Sequence[Sequence[str]] = ()) -> dict[str, str] | None:
    """The format of each layer with which all lose least within the budget; None: nothing keeps it.

    Raises:
        MissingExtra: highspy is not installed.
    """
    found = _least(options, budget.limits, ties, lambda each: each.loss)
    return None if found is None else {op: each.format for op, each in found.items()}


def total(options: Options, chosen: Mapping[str, str], name: str) -> float:
    """The sum over the layers of a field of the choices: "loss", "bits", "latency_s", "energy_j"."""
    by_name = {op: {each.format: each for each in some} for op, some in options.items()}
    return float(sum(getattr(by_name[op][form], name) for op, form in chosen.items()))


def _choice(layer: Layer, name: str, loss: Loss, costs: Costs | None) -> Choice:
    bits, lost = stored_bits(layer, name), 0.0 if name == FLOAT else loss(name)
    if costs is None:
        return Choice(name, lost, bits)
    cost = costs.of(layer.op, name)
    return Choice(name, lost, bits, cost.time_s, cost.energy_j, "" if name == FLOAT else costs.activations)


def _goal(options: Options, alpha: float | None, reference: str) -> Callable[[Choice], float]:
    """What a choice adds to what is minimised."""
    if alpha is None:
        return lambda each: each.loss
    if not 0 <= alpha <= 1:
        raise InputError("alpha is a share", needed="0 to 1", had=f"{alpha:g}")
    usual = {
        op: next((each.format for each in some if each.format == reference), some[0].format)
        for op, some in options.items()
    }
    loss, latency = total(options, usual, "loss"), total(options, usual, "latency_s")
    if latency <= 0:
        raise InputError("no latency to weigh against the loss", hint="measure costs first")
    share = alpha / loss if loss > 0 else 0.0
    return lambda each: share * each.loss + (1 - alpha) / latency * each.latency_s


def _least(
    options: Options, limits: Mapping[str, float], ties: Sequence[Sequence[str]], goal: Callable[[Choice], float]
) -> dict[str, Choice] | None:
    """The choices of the least goal within the limits; None if there are none."""
    if any(limit <= 0 for limit in limits.values()):
        return None
    programme = Milp()
    most = max((abs(goal(each)) for some in options.values() for each in some), default=0.0)
    factor = SCALE / most if most else 1.0
    columns = {op: [programme.binary(cost=goal(each) * factor) for each in some] for op, some in options.items()}
    for each in columns.values():
        programme.row([(column, 1.0) for column in each], 1, 1)
    pairs = [
        (column, each)
        for op, some in options.items()
        for column, each in zip(columns[op], some, strict=True)
    ]  # fmt: skip
    for name, limit in limits.items():
        programme.row([(column, getattr(each, name) / limit) for column, each in pairs], high=1.0)
    for group in ties:
        _tie(programme, options, columns, [op for op in group if op in options])
    solution = programme.solve()
    if not solution.found:
        return None
    return {op: some[int(np.argmax(solution.values[columns[op]]))] for op, some in options.items()}


def _tie(programme: Milp, options: Options, columns: Mapping[str, list[int]], group: Sequence[str]) -> None:
    """Layers of the group take activations of one format."""
    for kind in sorted({each.activations for op in group for each in options[op]}):
        for one, other in pairwise(group):
            terms = [
                (column, sign)
                for op, sign in ((one, 1.0), (other, -1.0))
                for column, each in zip(columns[op], options[op], strict=True)
                if each.activations == kind
            ]
            programme.row(terms, 0, 0)


def _infeasible(options: Options, budget: Budget, ties: Sequence[Sequence[str]]) -> LimitError:
    """Which limit binds, and the least of it that could be kept beside the others."""
    limits = budget.limits
    spent = [name for name, limit in limits.items() if limit <= 0]
    least = {name: _least_of(options, limits, ties, name, alone=bool(spent)) for name in spent or limits}
    if all(amount is None for amount in least.values()):  # not even without one of them: each for itself then
        least = {name: _least_of(options, limits, ties, name, alone=True) for name in limits}
    over = {name: amount / max(limits[name], 1e-30) for name, amount in least.items() if amount is not None}
    if not over:
        return LimitError("layers that are added up have no format of activations in common", hint="more formats")
    name = min(over, key=lambda each: over[each])
    others = " and ".join(budget.told(each, limits[each]) for each in limits if each != name and not spent)
    return LimitError(
        f"the formats do not go so low in {WORDS[name]}" + (f" within {others}" if others else ""),
        needed="what is not the layers' own takes all of it" if spent else budget.told(name, limits[name]),
        had=f"{budget.told(name, over[name] * max(limits[name], 1e-30))} at least",
        hint="a larger limit, or smaller formats",
    )


def _least_of(
    options: Options, limits: Mapping[str, float], ties: Sequence[Sequence[str]], name: str, alone: bool
) -> float | None:
    """The least of one amount within the other limits, or within none."""
    others = {} if alone else {each: limit for each, limit in limits.items() if each != name}
    found = _least(options, others, ties, lambda each: float(getattr(each, name)))
    return None if found is None else sum(float(getattr(each, name)) for each in found.values())

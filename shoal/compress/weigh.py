"""Formats for the layers of one network: what they are chosen from, the choice, and how size trades against loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from shoal.compress._probes import FLOAT
from shoal.compress.allocate import Budget, Choice, Options, allocate, choices, least, total
from shoal.compress.calibrate import Arrays
from shoal.compress.costs import Costs
from shoal.compress.layers import Layer, layers_of
from shoal.compress.ties import ties_of
from shoal.errors import InputError
from shoal.graph import Graph

STEPS = 16  # sizes that are looked at between the smallest and the largest


@dataclass(frozen=True)
class Mix:
    """Formats of all layers, with their bytes and what they are estimated to lose."""

    name: str  # of the format, where all layers that may have it do; "": several
    stored_bytes: float  # of all weights of the network
    loss: float  # as its measure counts, added up
    formats: Mapping[str, str]  # by op


@dataclass(frozen=True, eq=False)
class Weighed:
    """What a format for each layer is chosen from."""

    options: Options  # of each layer, by op
    budget: Budget  # of these layers together
    ties: tuple[tuple[str, ...], ...] = ()  # layers that take activations of the same format
    alpha: float | None = None  # see `allocate`
    rest_bytes: int = 0  # of weights that are no layer's

    @cached_property
    def formats(self) -> dict[str, str]:
        """The choice.

        Raises:
            LimitError, InputError, MissingExtra: like `allocate`.
        """
        return allocate(self.options, self.budget, ties=self.ties, alpha=self.alpha)

    @property
    def chosen(self) -> Mix:
        """The choice, with what it takes and loses."""
        return self._mix("", self.formats)

    def uniform(self) -> Iterator[Mix]:
        """One format in all layers that have it to choose, for each that all but fixed layers have."""
        free = [some for some in self.options.values() if len(some) > 1]
        names = [each.format for each in (free[0] if free else ())]
        for name in names:
            if all(name in {each.format for each in some} for some in free):
                fixed = {op: some[0].format for op, some in self.options.items()}
                yield self._mix(name, {op: name if len(self.options[op]) > 1 else had for op, had in fixed.items()})

    def frontier(self, steps: int = STEPS) -> Iterator[Mix]:
        """The mixes that lose least for their size, the smallest first; each loses less than the one before.

        Sizes are in equal ratios from the smallest to the largest; those of the formats by themselves are among them.

        Raises:
            MissingExtra: highspy is not installed.
        """
        bits = [[each.bits for each in some] for some in self.options.values()]
        low, high = (float(sum(pick(some) for some in bits)) for pick in (min, max))
        uniform = [total(self.options, each.formats, "bits") for each in self.uniform()]
        best = np.inf
        for most in sorted({*np.geomspace(low, high, steps).tolist(), *uniform}):
            found = least(self.options, Budget(bits=most * (1 + 1e-9)), self.ties)
            if found is not None and (mix := self._mix("", found)).loss < best:
                best = mix.loss
                yield mix

    def _mix(self, name: str, formats: Mapping[str, str]) -> Mix:
        size = self.rest_bytes + total(self.options, formats, "bits") / 8
        return Mix(name, size, total(self.options, formats, "loss"), formats)


def weighed(
    graph: Graph,
    samples: Sequence[Arrays],
    formats: Sequence[str],
    bits_per_weight: float | None = None,
    skip: Sequence[str] = (),
    threads: int = 1,
    *,
    ends: str = "",
    sensitivity: str = "output",
    budget: Budget | None = None,
    costs: Costs | None = None,
    alpha: float | None = None,
) -> Weighed:
    """What a format for each layer of `graph` but those to skip is chosen from.

    Args:
        graph: as `compress` takes it.
        samples: inputs by name.
        formats: what each layer may be; "float32" leaves it as it is.
        bits_per_weight: parameters included, on average over the layers.
        skip: ops that stay as they are.
        threads: of the runs on samples.
        ends: the format of the first and the last layer, fixed; "": as all.
        sensitivity: the measure of the family `compress/sensitivities`.
        budget: of the whole network: its bits are those of all weights, its seconds and joules those of all ops.
        costs: measured; needed where seconds or joules are limited or weighed.
        alpha: see `allocate`.

    Raises:
        InputError: like `choices`; seconds are limited without costs.
    """
    layers = [layer for layer in layers_of(graph) if layer.op not in skip]
    if costs is None and (alpha is not None or (budget and (budget.latency_s or budget.energy_j))):
        raise InputError("latency and energy need measured costs", where="--mix")
    every = tuple(dict.fromkeys((*formats, *([ends] if ends else []))))
    options = choices(graph, samples, every, threads, sensitivity=sensitivity, costs=costs, layers=layers)
    fixed = {layer.op for layer in (layers[0], layers[-1])} if ends and layers else set()
    options = {op: _kept(some, [ends] if op in fixed else formats) for op, some in options.items()}
    left = _left(graph, layers, budget, costs, bits_per_weight)
    rest = graph.weights_bytes - 4 * _count(layers)
    return Weighed(options, left, ties_of(graph, list(options)), alpha, rest)


def mixed(
    graph: Graph,
    samples: Sequence[Arrays],
    formats: Sequence[str],
    bits_per_weight: float | None = None,
    skip: Sequence[str] = (),
    threads: int = 1,
    *,
    ends: str = "",
    sensitivity: str = "output",
    budget: Budget | None = None,
    costs: Costs | None = None,
    alpha: float | None = None,
) -> dict[str, str]:
    """The formats themselves: see `weighed` for what goes in, `allocate` for what is raised."""
    return weighed(
        graph, samples, formats, bits_per_weight, skip, threads, ends=ends, sensitivity=sensitivity, budget=budget,
        costs=costs, alpha=alpha,
    ).formats  # fmt: skip


def _kept(some: Sequence[Choice], formats: Sequence[str]) -> tuple[Choice, ...]:
    return tuple(each for each in some if each.format in formats)


def _count(layers: Sequence[Layer]) -> int:
    return sum(layer.shape[0] * layer.shape[1] for layer in layers)


def _left(
    graph: Graph, layers: Sequence[Layer], budget: Budget | None, costs: Costs | None, bits_per_weight: float | None
) -> Budget:
    """What is left for the layers once all else has its part."""
    count = _count(layers)
    found = budget or Budget()
    if found.bits is not None:
        found = replace(found, bits=found.bits - 8 * graph.weights_bytes + 32 * count)
    if bits_per_weight is not None:
        most = bits_per_weight * count
        found = replace(found, bits=most if found.bits is None else min(most, found.bits), weights=count)
    if costs is not None:
        others = [costs.of(op, FLOAT) for op in costs.signatures if op not in {layer.op for layer in layers}]
        if found.latency_s is not None:
            found = replace(
                found, latency_s=found.latency_s - costs.rest.time_s - sum(each.time_s for each in others)
            )
        if found.energy_j is not None:
            found = replace(
                found, energy_j=found.energy_j - costs.rest.energy_j - sum(each.energy_j for each in others)
            )
    return found

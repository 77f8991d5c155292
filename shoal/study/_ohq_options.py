"""What each layer may be, and what that costs here or on a device that is not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from shoal.study._bench import Bench
from shoal.study.contract import Chart, Series

if TYPE_CHECKING:
    from shoal.compress import Choice, Costs, Layer
    from shoal.graph import Graph
    from shoal.study._ohq_runs import Network

EIGHT, FOUR, FLOAT = "int8", "int4", "float32"
Options: TypeAlias = "Mapping[str, Sequence[Choice]]"


def opened_in(bench: Bench, path: Path) -> Graph:
    """The network in the file, as it is compressed."""
    from shoal.compress import opened

    return opened(path, folder=folder_of(bench, f"newer-{path.stem}"))


def folder_of(bench: Bench, name: str) -> Path:
    """A folder of that name, or of one like it where that is taken; it is empty."""
    taken = len([each for each in bench.scratch.iterdir() if each.name.startswith(name)])
    place = bench.scratch / f"{name}-{taken}"
    place.mkdir()
    return place


def layers_in(network: Network) -> tuple[Layer, ...]:
    """Its products."""
    from shoal.compress import layers_of

    return layers_of(network.graph)


def options_of(network: Network, formats: Sequence[str], sensitivity: str) -> Options:
    """What each layer loses in each format, estimated on the calibration samples."""
    from shoal.compress import choices

    return choices(network.graph, network.calibration, formats, sensitivity=sensitivity)


def only(options: Options, formats: Sequence[str], ends: str = "") -> Options:
    """These formats alone; the first and the last layer in that of the `ends`, if there is one."""
    names = list(options)
    fixed = {names[0], names[-1]} if ends else set()
    return {
        op: [each for each in some if each.format in ((ends,) if op in fixed else formats)]
        for op, some in options.items()
    }


def timed_by(options: Options, costs: Costs) -> Options:
    """With seconds and joules as measured."""
    return {
        op: [
            replace(
                each, latency_s=(cost := costs.of(op, each.format)).time_s, energy_j=cost.energy_j,
                activations="" if each.format == "float32" else costs.activations,
            )
            for each in some
        ]
        for op, some in options.items()
    }  # fmt: skip


def modelled(options: Options, network: Network) -> Options:
    """With the seconds of a device that does 10⁹ multiply-accumulates a second with weights of eight bits, and more in
    proportion with fewer.
    """
    graph = network.graph
    macs = {op.name: op.macs for op in graph.ops}
    return {
        op: [replace(each, latency_s=macs[op] * int(each.format[3:]) / 8 * 1e-9) for each in some]
        for op, some in options.items()
    }


def quickest(options: Options) -> dict[str, str]:
    """The quickest format of each layer."""
    return {op: min(some, key=lambda each: each.latency_s).format for op, some in options.items()}


def pareto(options: Options, coded: Options, count: int) -> Chart:
    """Estimated loss against size: the programme's answers, and one format everywhere.

    Args:
        options: of all layers.
        coded: those that the programme may take.
        count: of weights.
    """
    from shoal.compress import Budget, allocate, total

    formats = [each.format for each in next(iter(options.values())) if each.format != "float32"]
    same = [dict.fromkeys(options, name) for name in formats]
    ends = [sum(pick(each.bits for each in some) for some in coded.values()) for pick in (min, max)]
    limits = [ends[0] + share / 12 * (ends[1] - ends[0]) for share in range(1, 13)]
    best = [allocate(coded, Budget(bits=limit)) for limit in limits]
    lines = [
        Series(
            name,
            [total(options, each, "bits") / count for each in some],
            [total(options, each, "loss") for each in some],
        )
        for name, some in (("programme", best), ("one format", same))
    ]
    return Chart("Loss against size", "bits a weight", "sum of losses, nats", tuple(lines), log_y=True)


def tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's rank correlation, ties counted (τ-b); 0 where one of the two is constant.

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.stats import kendalltau
    except ImportError as fault:
        from shoal.errors import MissingExtra

        raise MissingExtra("scipy", "fit") from fault
    found = float(kendalltau(one, other).statistic)
    return 0.0 if isnan(found) else found

"""Carbon as a goal against every plan there is, on small networks and fleets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.fleet import Fleet, loads
from shoal.graph import Graph
from shoal.plan import Replica
from shoal.plan.chain import feasible
from shoal.plan.chains import line_of
from shoal.plan.enumerate import all_plans
from shoal.plan.lower import program_of
from shoal.plan.objectives.carbon import Carbon
from shoal.plan.predict import forecast
from shoal.plan.search import SAME
from shoal.program import Workload
from tests.plan.test_search import found
from tests.plan.toys import problem, random_chain

BOARDS = ("raspberry-pi-4b-4gb", "laptop-i7-1165g7", "jetson-orin-nano-8gb")


def fleet(seed: int) -> Fleet:
    """Two or three boards whose making and grid are drawn over two orders of magnitude."""
    rng = np.random.default_rng(seed)
    text = '[default_link]\nbandwidth = "10 Gbit/s"\nlatency = "10 µs"\n'
    for number, board in enumerate(rng.permutation(BOARDS)[: 2 + seed % 2]):
        kilograms, grams = 10 ** rng.uniform(-1, 2), 10 ** rng.uniform(1, 3)
        text += f'[devices.d{number}]\nboard = "{board}"\ncarbon = "{kilograms:.3f} kg"\n'
        text += f'lifecycle = {{ lifetime = "4 years", grid = "{grams:.1f} g/kWh" }}\n'
    return loads(text)


def best(graph: Graph, boards: Fleet, goal: Carbon) -> float:
    """The least of all divisions into consecutive groups on distinct units in any order, each simulated."""
    units = tuple(name for name in boards.unit_names if "onnxruntime" in boards.unit(name).engines)
    asked = problem(graph, boards, units=units, window=max(4, len(units) + 2))
    line, values = line_of(asked), []
    for division in all_plans(line.chain):
        if feasible(line.chain, division):
            program = program_of(graph, (Replica(tuple(line.groups(asked, division))),), asked.window, "all")
            made = forecast(program, boards, asked.costs, Workload(items=32, window=asked.window))
            values.append(goal.predicted(made.prediction))
    return min(values)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_auto_is_as_good_as_the_best_of_all(seed: int, alpha: float | None, tmp_path: Path) -> None:
    graph, boards, goal = random_chain(tmp_path, seed, layers=3), fleet(seed), Carbon(alpha)
    asked = "carbon" if alpha is None else f"carbon:alpha={alpha}"
    chosen = found(graph, boards, goals=(asked,)).plan
    assert goal.predicted(chosen.prediction) <= best(graph, boards, goal) * (1 + SAME)

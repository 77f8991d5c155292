"""What every strategy promises: the undivided network's answers, and its formula's bytes to the last one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.graph import Graph, divide, seeded
from shoal.plan.lower import program_of
from shoal.plan.problem import Problem, Strategy
from shoal.program import CLIENT, Program
from tests.graph.divided import answers, run
from tests.graph.models import LIGHT_NAMES
from tests.plan.toys import device, fleet, light_graph, problem

STRATEGIES = catalog.names("plan/strategies")
VARIANTS = (*STRATEGIES, "tile:depth=1", "tile:depth=3", "tile:axis=columns")
SHARES = {2: (3, 2), 3: (3, 1, 2), 4: (4, 3, 2, 2)}
MODELS = tuple(name.removeprefix("light_") for name in LIGHT_NAMES)
QUICK = {("squeezenet", 2), ("squeezenet", 3), ("squeezenet", 4), ("shufflenet", 2)}
EQUAL = 1e-4  # of the largest magnitude


def _models() -> list[Any]:
    cases = [(name, units) for name in MODELS for units in SHARES]
    return [pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.matrix]) for case in cases]


@lru_cache(maxsize=1)
def network(name: str) -> Graph:
    return seeded(light_graph(name), 1)


def asked(graph: Graph, units: int) -> Problem:
    return problem(graph, fleet(*(device("abcd"[index], 10 + 5 * index) for index in range(units))))


def strategy(text: str) -> Strategy:
    made: Strategy = catalog.make("plan/strategies", text)
    return made


def lowered(task: Problem, text: str, shares: Sequence[float]) -> tuple[Graph, Program]:
    """The divided graph, and its Program: one that `check` has passed."""
    division = strategy(text).divide(task, shares)
    graph = divide(task.graph, division.splits).graph
    return graph, program_of(graph, division.replicas, task.window, "toy")


def between_units(program: Program) -> int:
    """Payload bytes of one item over all edges between units."""
    return sum(edge.spec.bytes({}) for edge in program.edges if CLIENT not in (edge.source, edge.target))


@pytest.mark.parametrize(("name", "units"), _models())
@pytest.mark.parametrize("text", VARIANTS)
def test_light_models_answer_alike_and_send_what_the_formula_says(name: str, text: str, units: int) -> None:
    graph, shares = network(name), SHARES[units]
    task = asked(graph, units)
    divided, program = lowered(task, text, shares)
    assert between_units(program) == strategy(text).transfer_bytes(task, shares)
    assert set(program.units) == set(task.units)
    if divided is not graph:
        feeds, wanted = answers(graph)
        made = run(divided, feeds)
        for output, array in wanted.items():
            np.testing.assert_allclose(made[output], array, rtol=0, atol=EQUAL * float(np.abs(array).max()))

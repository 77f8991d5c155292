from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import MissingExtra
from shoal.plan.blocks import blocks_of
from shoal.plan.chains import line_of
from shoal.plan.placement import Assessor
from shoal.plan.planners._moves import consecutive, crossed, mutated
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.evolve import Evolve
from shoal.plan.problem import Problem
from tests.plan.toys import device, fleet, light_graph, placed, problem, random_branches, three


def drawer(name: str) -> Problem:
    return problem(light_graph(name), fleet(device("a", 10), device("b", 25), device("c", 5), device("d", 8)))


def test_a_branchy_network_gains_from_placements_that_are_not_consecutive() -> None:
    asked = drawer("inception_v1")
    found, rows = Evolve().search(asked), ChainDp(epsilon=0.05).search(asked)
    assert found.scores[:, 1].min() < rows.scores[:, 1].min() * 0.99  # inception's branches run side by side
    assert found.scores[:, 0].min() <= rows.scores[:, 0].min() * (1 + 1e-9)
    best = found.placements[int(np.argmin(found.scores[:, 1]))]
    assert line_of(asked).division(asked, best) is None


def test_it_is_never_worse_than_its_seeds() -> None:
    asked = drawer("densenet121")
    quick = catalog.make("plan/planners", "evolve:population=16,generations=4,refine=20").search(asked)
    assert quick.scores[:, 1].min() <= ChainDp(epsilon=0.05).search(asked).scores[:, 1].min() * (1 + 1e-9)


def test_refining_helps_or_does_nothing(tmp_path: Path) -> None:
    asked = problem(random_branches(tmp_path, 3), three())
    plain = Evolve(population=12, generations=3, refine=0).search(asked)
    refined = Evolve(population=12, generations=3).search(asked)
    assert (refined.scores.min(axis=0) <= plain.scores.min(axis=0) * (1 + 1e-9)).all()


def test_another_seed_looks_elsewhere(tmp_path: Path) -> None:
    asked = problem(random_branches(tmp_path, 4, blocks=4), three())
    one, other = (Evolve(population=12, generations=4, refine=0, seed=seed).search(asked) for seed in (1, 2))
    assert one.placements != other.placements


def test_without_pymoo_the_message_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['pymoo'] = None\n"
        "from shoal.plan.planners.evolve import Evolve\n"
        "from shoal.errors import MissingExtra\n"
        "try: Evolve().search(None)\n"
        "except MissingExtra as fault: print(fault.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'shoal[evolve]'"
    assert MissingExtra.exit_code == 2


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "densenet121", "resnet50"])
def test_blocks_are_the_same_problem(name: str) -> None:
    asked = drawer(name)
    blocks = blocks_of(asked)
    graph = blocks.problem.graph
    assert sorted(op for ops in blocks.members.values() for op in ops) == sorted(asked.graph.position)
    assert graph.macs == asked.graph.macs
    assert len(graph.ops) < 0.6 * len(asked.graph.ops)
    for index, op in enumerate(graph.ops):  # in an order in which blocks can run
        assert all(graph.producer.get(read, -1) < index for read in op.inputs)
    rng = np.random.default_rng(0)
    engine = "onnxruntime"
    coarse = [rng.choice(asked.units) for _ in graph.ops]
    groups = placed(graph, coarse, engine)
    on_blocks = Assessor(blocks.problem).assess(groups).score
    on_ops = Assessor(asked).assess(blocks.groups(groups)).score
    assert on_blocks.period_s == pytest.approx(on_ops.period_s)
    assert on_blocks.latency_s == pytest.approx(on_ops.latency_s)
    assert on_blocks.energy_j == pytest.approx(on_ops.energy_j)
    assert on_blocks.memory_bytes <= on_ops.memory_bytes


def test_moves_keep_to_the_units() -> None:
    rng = np.random.default_rng(5)
    genes = consecutive(rng, 30, 3)
    for _ in range(300):
        genes = mutated(rng, genes, 3)
        assert genes.shape == (30,)
        assert set(genes.tolist()) <= {0, 1, 2}
    other = consecutive(rng, 30, 3)
    left, right = crossed(rng, genes, other)
    assert sorted([*left, *right]) == sorted([*genes, *other])

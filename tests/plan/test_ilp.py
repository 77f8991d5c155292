from __future__ import annotations

import logging
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import LimitError, PlanError
from shoal.fleet import Fleet, Link
from shoal.graph import Graph, load
from shoal.plan import ModelRef, Objective, Wishes, search
from shoal.plan.blocks import blocks_of
from shoal.plan.chains import line_of
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessor
from shoal.plan.planners._placing import Placing
from shoal.plan.planners._site import Site
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.planners.exhaustive import Exhaustive
from shoal.plan.planners.ilp import Ilp
from shoal.plan.problem import Problem
from tests.graph.models import info, model, node, write
from tests.plan.toys import MIB, device, fleet, light_graph, problem, random_branches, random_chain, three

EXACT = Ilp(time_limit_s=60.0, points=1, gap=0.0)


def site_of(asked: Problem) -> Site:
    return Site(asked, blocks_of(asked), units_engines(asked)[0])


def scores_of_all(asked: Problem) -> np.ndarray:
    """Of every feasible placement of blocks, by the cost model."""
    site, assessor = site_of(asked), Assessor(asked)
    rows = product(range(len(site.units)), repeat=len(site.blocks.members))
    found = [assessor.assess(site.groups(row)) for row in rows]
    return np.array([each.score for each in found if each.excess == 0])


def random_case(folder: Path, seed: int, **limits: int) -> Problem:
    """At most 8 blocks on 2 or 3 units, of unlike or like devices, with and without a shared medium."""
    rng = np.random.default_rng(seed)
    speeds = rng.uniform(2, 40, 3) if seed % 3 else [10.0, 10.0, 25.0]
    devices = [device(name, float(speed)) for name, speed in zip("abc", speeds, strict=True)]
    devices = devices if seed % 4 else [device("a", 8, units=("cpu", "gpu")), device("b", 20)]
    wifi = Link("wifi", ("a", "b", "c"), float(rng.uniform(2e6, 2e7)), 1e-3, shared=True, j_per_byte=5e-9)
    graph = random_chain(folder, seed, 6) if seed % 2 else random_branches(folder, seed, 2 - seed % 4 // 2)
    return problem(graph, fleet(*devices, links=(wifi,) if seed % 5 == 0 else ()), **limits)


@pytest.mark.parametrize("seed", range(12))
def test_no_placement_has_a_shorter_period(tmp_path: Path, seed: int) -> None:
    asked = random_case(tmp_path, seed)
    everything = scores_of_all(asked)
    found = EXACT.search(asked)
    assert found.scores[:, 1].min() == pytest.approx(everything[:, 1].min(), rel=1e-9)
    within = everything[everything[:, 1] <= everything[:, 1].min() * (1 + 1e-6)]
    assert found.scores[:, 2].min() <= within[:, 2].min() * (1 + 1e-6)  # energy is exact too


@pytest.mark.parametrize("seed", range(1, 13, 2))
def test_on_a_chain_it_is_at_least_as_good_as_every_consecutive_division(tmp_path: Path, seed: int) -> None:
    asked = random_case(tmp_path, seed)
    whole = blocks_of(asked).problem  # so that both may cut at the same places
    best = Exhaustive().search(whole).scores[:, 1].min()
    assert EXACT.search(whole).scores[:, 1].min() <= best * (1 + 1e-9)

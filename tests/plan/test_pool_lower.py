"""Schedules over pools run on real workers, with items of all sizes, and answer like the undivided chain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import PlanError
from shoal.plan.pool_lower import drawn_weights, pool_inputs, pool_program, undivided
from shoal.plan.pool_systems import gcn_chain, gin_chain, window_chain
from shoal.plan.pools import Chain, KernelSpec, PoolSchedule, Stage
from shoal.program import Item, Pace, Workload
from shoal.run.programs import running
from shoal.sim import simulate

UNITS = {"s": ("s0/cpu", "s1/cpu", "s2/cpu"), "d": ("d0/cpu", "d1/cpu")}
FORMS: Mapping[str, str] = {"s": "sparse", "d": "dense"}
GCN, GIN, WINDOW = gcn_chain((12, 8, 5), 60, 400), gin_chain((6, 4), 60, 400), window_chain(1, 16, 2, 5, 70)
GRAPHS = ({"nodes": 50, "nnz": 300}, {"nodes": 7, "nnz": 0}, {"nodes": 60, "nnz": 400}, {"nodes": 1, "nnz": 1})
LENGTHS = ({"length": 70}, {"length": 1}, {"length": 33})

CASES = [
    (GCN, GRAPHS, (Stage(0, 6, "s"),)),
    (GCN, GRAPHS, (Stage(0, 1, "d"), Stage(1, 2, "s"), Stage(2, 4, "d"), Stage(4, 6, "s"))),
    (GCN, GRAPHS, (Stage(0, 6, "s", 3),)),
    (GCN, GRAPHS, (Stage(0, 3, "d", 2), Stage(3, 6, "s", 3))),
    (GIN, GRAPHS, (Stage(0, 2, "s", 2), Stage(2, 5, "d", 2))),
    (WINDOW, LENGTHS, (Stage(0, 2, "s", 2), Stage(2, 6, "d"))),
    (WINDOW, LENGTHS, (Stage(0, 6, "d", 2),)),
]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))


def assert_runs(
    chain: Chain, bindings: tuple[Mapping[str, int], ...], stages: tuple[Stage, ...], over: str, items: int = 12
) -> None:
    weights = drawn_weights(chain, 1)
    program, folder = pool_program(chain, PoolSchedule(stages), UNITS, FORMS, weights)  # type: ignore[arg-type]
    inputs = [pool_inputs(chain, sizes, seed) for seed, sizes in enumerate(bindings)]
    workload = Workload(items, pattern=tuple(Item(bindings=sizes) for sizes in bindings))
    answers: dict[int, Mapping[str, np.ndarray]] = {}  # type: ignore[type-arg]
    with running(program, folder, over) as (coordinator, _):
        outcome = coordinator.run(
            catalog.make("program/drivers", "stream"), workload, lambda item: inputs[item % len(inputs)],
            answers.__setitem__,
        )  # fmt: skip
    assert not outcome.failure
    assert sorted(answers) == list(range(items))
    assert [answer.item for answer in outcome.observed.answers] == list(range(items))
    for item, outputs in answers.items():
        wanted = undivided(chain, weights, inputs[item % len(inputs)])
        assert set(outputs) == {"y"}
        np.testing.assert_allclose(outputs["y"], wanted, rtol=0, atol=1e-4 * max(1e-6, float(np.abs(wanted).max())))


@pytest.mark.parametrize(("chain", "bindings", "stages"), CASES)
def test_answers_like_the_undivided_chain(
    chain: Chain, bindings: tuple[Mapping[str, int], ...], stages: tuple[Stage, ...]
) -> None:
    assert_runs(chain, bindings, stages, "memory")


def test_on_processes() -> None:
    assert_runs(GCN, GRAPHS, (Stage(0, 2, "s"), Stage(2, 6, "d")), "shm")


def test_the_simulator_runs_the_same_program() -> None:
    """Bytes are those of each item's own sizes, and stay within a row's share of the exact ones."""
    program, _ = pool_program(GCN, PoolSchedule(CASES[3][2]), UNITS, FORMS, drawn_weights(GCN))  # type: ignore[arg-type]
    pace = Pace({segment.name: 0.01 for segment in program.segments}, {})
    workload = Workload(8, pattern=tuple(Item(bindings=sizes) for sizes in GRAPHS))
    observed = simulate(program, pace, catalog.make("program/drivers", "stream"), workload)
    assert [answer.item for answer in observed.answers] == list(range(8))


def test_the_same_schedule_is_the_same_program() -> None:
    schedule, weights = PoolSchedule(CASES[1][2]), drawn_weights(GCN)
    one, other = (pool_program(GCN, schedule, UNITS, FORMS, weights)[0] for _ in range(2))  # type: ignore[arg-type]
    assert one == other
    assert pool_program(GCN, schedule, UNITS, FORMS, weights, epoch=1)[0].epoch == 1  # type: ignore[arg-type]
    changed = pool_program(GCN, schedule, UNITS, FORMS, drawn_weights(GCN, 5))[0]  # type: ignore[arg-type]
    assert changed.segments != one.segments


def test_refuses_what_does_not_fit() -> None:
    weights = drawn_weights(GCN)
    with pytest.raises(PlanError, match="too few units of type 'd'"):
        pool_program(GCN, PoolSchedule((Stage(0, 6, "d", 3),)), UNITS, FORMS, weights)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="do not cover the chain"):
        pool_program(GCN, PoolSchedule((Stage(0, 5, "d"),)), UNITS, FORMS, weights)  # type: ignore[arg-type]
    broken = Chain("c", (KernelSpec("a", "gemm", 4, 5, 6), KernelSpec("b", "gemm", 4, 5, 6)))
    with pytest.raises(PlanError, match=r"a: a kernel does not give what the next one reads"):
        pool_program(broken, PoolSchedule((Stage(0, 2, "d"),)), UNITS, FORMS, drawn_weights(broken))  # type: ignore[arg-type]

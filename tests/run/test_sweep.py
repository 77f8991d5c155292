"""Cuts really run: figures, what is left out, and what is kept when a worker dies."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.models.roofline import Roofline
from shoal.fleet import Fleet, Link
from shoal.graph import load
from shoal.plan import ModelRef
from shoal.plan.every_cut import CutPlan, every_cut
from shoal.record import SplitFigures, SplitRepeat, Twin
from shoal.run.sweep import Sweep, front_of, notes_of, sweep
from tests.plan.toys import random_chain
from tests.run import plans

PAIR = ("d0/cpu", "d1/cpu")


def cut_plans(folder: Path, link: Link | None = None) -> tuple[CutPlan, ...]:
    graph = random_chain(folder, seed=1, layers=4)
    machines = plans.fleet(2)
    machines = Fleet(machines.devices, default_link=link or machines.default_link)
    reference = ModelRef(graph.name, graph.source, graph.sha256)
    return every_cut(graph, reference, machines, Roofline().over(graph, machines, ()), PAIR)


def test_each_cut_is_run_as_often_as_asked_and_answers_right(tmp_path: Path) -> None:
    each = cut_plans(tmp_path)
    heard: list[int] = []
    found = sweep(
        load(each[0].plan.model.path), each, Sweep(items=6, repeats=2, over="shaped:inner=memory"),
        lambda split: heard.append(split.number),
    )  # fmt: skip
    assert heard == [split.number for split in found] == list(range(len(each)))
    for split in found:
        assert split.done
        assert split.outputs_match
        assert len(split.repeats) == 2
        assert split.items >= 2 * split.window + 2
        for repeat in split.repeats:
            own_s = repeat.first_s + repeat.network_s + repeat.second_s
            assert 0 < own_s <= repeat.latency_s * 1.5  # medians of different items
            assert repeat.network_s >= split.twin.link_busy_s + split.twin.link_latency_s - 1e-3
    assert notes_of(each, Sweep()) == ()
    front = front_of("chain", found)
    assert front.knee in front.front


def test_a_slow_link_leaves_hopeless_cuts_out(tmp_path: Path) -> None:
    each = cut_plans(tmp_path, Link("slow", (), 2e5, 1e-3))
    found = sweep(
        load(each[0].plan.model.path), each, Sweep(items=4, repeats=1, hopeless_s=0.0, over="shaped:inner=memory")
    )
    least = min(found, key=lambda split: split.bytes)
    assert least.done
    for split in found:
        assert split.done != bool(split.skipped)
        if split.skipped:
            assert split.twin.link_busy_s >= least.period_s
            assert "beaten by cut" in split.skipped


def test_a_cut_that_no_memory_holds_is_not_run(tmp_path: Path) -> None:
    from dataclasses import replace

    (first, *_) = cut_plans(tmp_path)
    memory = dict.fromkeys(first.plan.prediction.memory_bytes, 1 << 50)
    full = replace(first, plan=replace(first.plan, prediction=replace(first.plan.prediction, memory_bytes=memory)))
    (split,) = sweep(load(full.plan.model.path), [full], Sweep())
    assert "memory" in split.skipped


def test_a_worker_that_dies_takes_its_cut_only(tmp_path: Path) -> None:
    each = cut_plans(tmp_path, Link("long", (), 1e9, 0.05))[:2]

    def kill() -> None:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            if len(found := plans.workers()) == 2 and all(process.cpu_times().user > 0 for process in found):
                time.sleep(1.5)
                found[1].kill()
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    first, second = sweep(load(each[0].plan.model.path), each, Sweep(items=8, repeats=8))
    killer.join()
    assert "d1/cpu" in first.failure or "d0/cpu" in first.failure
    assert not first.done
    assert second.done
    assert front_of("chain", (first, second)).front == (1,)


def split(latency_s: float, period_s: float) -> SplitFigures:
    repeat = SplitRepeat(latency_s, latency_s, period_s, 0.1, 0.1, 0.0)
    return SplitFigures(0, "a", PAIR, 1, ("t",), Twin(1.0, 1.0, 0.0, 0.0), repeats=(repeat,))


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12))
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    found = front_of("m", [split(float(a), float(b)) for a, b in points])
    on = {points[place] for place in found.front}
    expected = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert on == expected
    assert [points[place][0] for place in found.front] == sorted(points[place][0] for place in found.front)
    assert found.reference == pytest.approx((max(a for a, _ in points) * 1.1, max(b for _, b in points) * 1.1))
    assert found.hypervolume > 0


def test_nothing_that_ran_is_no_front() -> None:
    assert front_of("m", ()).knee is None

"""The study of SKIP: what adds up, what bad files it knows, and boards that differ in their hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.measure.queue import Work
from shoal.measure.trace import Operator, Trace, host_metrics
from shoal.sim import simulate_launches
from shoal.study import Finding
from shoal.study._skip_coupled import CLOSE, fused, shown, slower_hosts, swept
from shoal.study._skip_queue import Point, _refused, _simulated, _swept

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def works(batch: int) -> tuple[Work, ...]:
    """A layer of a product, and of two ops that move its values."""
    layer = (Work("mm", 2e9 * batch, 1e7 + 1e6 * batch, product=True), *[Work("add", 1e6 * batch, 6e6 * batch)] * 2)
    return layer * 8


def findings(found: object) -> dict[str, Finding]:
    return {each.key: each for each in found if isinstance(each, Finding)}  # type: ignore[attr-defined]  # an iterator


def test_the_closer_board_is_slower_at_one_and_faster_at_many() -> None:
    sweeps = swept(BATCHES, [works(batch) for batch in BATCHES], 16, 10e-6)
    found = findings(shown(BATCHES, sweeps))
    assert found["slower_at_one"].obtained > 1.5  # type: ignore[operator]  # a figure
    assert found["latency_after"].obtained == pytest.approx(1, abs=0.2)
    assert 1.2 < found["faster_least"].obtained <= found["faster_most"].obtained < 4  # type: ignore[operator]  # as above
    for sweep in sweeps.values():
        assert sweep.balance / 2 < sweep.knee < sweep.balance * 2
        assert sweep.tklqt_s[-1] > 10 * sweep.tklqt_s[0]
    table = slower_hosts([1.0, 4.0], BATCHES, [works(batch) for batch in BATCHES], 16, 10e-6)
    assert table.rows[1][2] == pytest.approx(4 * table.rows[0][2])  # type: ignore[operator]  # as above
    assert sweeps[CLOSE].name == CLOSE


def test_chains_of_kernels_told_apart_by_size() -> None:
    found = findings(fused(works(1), 16, 50e-6))
    assert found["fusion_ideal"].obtained == pytest.approx(24 / 16)
    assert "chains of 2 " in found["fusion_ideal"].why
    assert found["fusion_close"].obtained == pytest.approx(2 / 1.5, rel=0.05)


def test_a_queue_in_theory_is_flat_then_square_with_its_knee_where_kernels_outlast() -> None:
    points, count, every_s = [], 50, 10e-6
    emitted = [every_s * (at + 1) for at in range(count)]
    for batch in BATCHES:
        kernel_s = 2e-6 * batch
        waits_s = count * 1e-6 + max(0.0, kernel_s - every_s) * count * (count - 1) / 2
        points.append(Point(batch, every_s, kernel_s, waits_s, emitted[-1] + kernel_s))
    found = findings(_swept(points))
    assert found["flat"].obtained == pytest.approx(1)
    assert found["knee"].obtained == 0
    trace = simulate_launches(["k"] * count, emitted, [20e-6] * count, 1e-6)
    assert _simulated([trace], points).obtained == pytest.approx(1)
    points = [Point(1, every_s, 2 * every_s, 1.0, 1.0)] * 2
    assert _swept_without_a_short_one(points)


def _swept_without_a_short_one(points: list[Point]) -> bool:
    short = [
        Point(at + 1, each.interval_s, each.kernel_s, each.tklqt_s, each.latency_s)
        for at, each in enumerate(points * 2)
    ]
    found = findings(_swept(short))
    return found["flat"].obtained is None and found["knee"].obtained is None


def test_damaged_files_are_noticed_and_whole_ones_exact(tmp_path: Path) -> None:
    trace = simulate_launches(["a", "b", "c"], [1e-6, 2e-6, 3e-6], [5e-6] * 3, 1e-6)
    assert _refused(trace, tmp_path).obtained is True


def test_sums_that_do_not_add_up_are_seen() -> None:
    pytest.importorskip("torch")
    from shoal.study._skip_traces import _adds_up

    good = Trace((Operator("a", "t", 0, 10e-3), Operator("b", "t", 1e-3, 9e-3, 0)))
    bad = Trace(
        (Operator("a", "t", 0, 10e-3), Operator("b", "t", 1e-3, 9e-3, 0), Operator("c", "t", 2e-3, 9e-3, 0))
    )
    assert _adds_up(good, host_metrics(good))
    assert not _adds_up(bad, host_metrics(bad))

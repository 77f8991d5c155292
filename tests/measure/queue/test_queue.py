"""A device in another process: order, times on one clock, and answers that no grouping changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from shoal.errors import InputError, WorkerDied
from shoal.measure.queue import Call, Calls, Queue, opened, products
from shoal.measure.queue.calls import load, save
from shoal.measure.trace import queue_metrics

COUNT, LIGHT, HEAVY, WIDTH = 24, 1, 600, 256
WORK = products((LIGHT, HEAVY), COUNT, WIDTH)


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    with opened(WORK) as found:
        yield found


def test_kernels_run_one_after_another_in_the_order_of_their_launches(queue: Queue) -> None:
    trace = queue.run([(at,) for at in range(COUNT)], emit_s=2e-4).trace
    assert len(trace.operators) == len(trace.launches) == len(trace.kernels) == COUNT
    for before, after in zip(trace.kernels, trace.kernels[1:], strict=False):
        assert before.begin_s <= before.end_s <= after.begin_s
    for place, kernel in enumerate(trace.kernels):
        assert kernel.launch == place
        assert kernel.begin_s >= trace.launches[place].begin_s
    assert np.diff([launch.begin_s for launch in trace.launches]).min() > 1.99e-4


def test_kernels_wait_where_the_device_is_the_slower_one(queue: Queue) -> None:
    light = queue_metrics(queue.run([(at,) for at in range(COUNT)], emit_s=5e-3).trace)
    heavy = queue_metrics(queue.run([(at,) for at in range(COUNT, 2 * COUNT)], emit_s=1e-4).trace)
    assert heavy.mean_kernel_s > 1e-4
    assert heavy.tklqt_s > 2 * light.tklqt_s
    assert heavy.device_idle_s < heavy.latency_s / 2 < light.device_idle_s


def test_groups_give_the_same_answer_with_fewer_launches(queue: Queue) -> None:
    every = queue.run([(at,) for at in range(COUNT, 2 * COUNT)])
    halves = queue.run([range(COUNT, COUNT + COUNT // 2), range(COUNT + COUNT // 2, 2 * COUNT)])
    assert len(halves.trace.kernels) == 2
    assert halves.trace.kernels[0].name == f"aten.mm.default and {COUNT // 2 - 1} more"
    np.testing.assert_array_equal(every.output, halves.output)
    wanted = WORK.tensors[COUNT + 2]
    for _ in range(COUNT):
        wanted = wanted @ WORK.tensors[0]
    np.testing.assert_allclose(every.output.reshape(HEAVY, WIDTH), wanted, atol=1e-4)


def test_more_than_the_queue_holds_is_refused(queue: Queue) -> None:
    with pytest.raises(InputError, match="launches"):
        queue.run([])
    with pytest.raises(InputError, match="launches"):
        queue.run([(0,)] * (2 * COUNT + 1))


def test_calls_come_back_from_their_files(tmp_path: Path) -> None:
    save(WORK, tmp_path)
    found = load(tmp_path)
    assert found.calls[:2] == WORK.calls[:2]
    assert found.kernels == tuple((at,) for at in range(2 * COUNT))
    for number, array in WORK.tensors.items():
        np.testing.assert_array_equal(found.tensors[number], array)
    with pytest.raises(InputError):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("op", ["aten.__import__.default", "os.system", "aten.mm.nothing"])
def test_an_operator_that_is_not_there_is_named(op: str) -> None:
    from shoal.measure.queue.replay import Replay

    with pytest.raises(InputError, match=re.escape(op)):
        Replay(Calls((Call(op, (), {}, (0,)),), {}, 0, 1))


def test_a_device_that_ends_is_noticed() -> None:
    misfit = Call("aten.mm.default", ({"tensor": 0}, {"tensor": 0}), {}, (1,))
    with opened(Calls((misfit,), {0: np.zeros((2, 3), np.float32)}, 1, 4)) as queue, pytest.raises(WorkerDied):
        queue.run([(0,)])


def test_no_products() -> None:
    with pytest.raises(InputError):
        products((0,), 3, 4)

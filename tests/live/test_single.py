"""A plan on this machine as a service: bounded, in time, honest about a lost worker, drained."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import InputError, LimitError
from shoal.graph import Carried
from shoal.live import Busy, Happening, Unavailable
from shoal.live.single import Single, served
from shoal.run import Settings
from tests.run import plans
from tests.serve.conftest import Small, single, small, wait_for

__all__ = ["single", "small"]  # fixtures


def test_answers_are_the_undivided_models(small: Small, single: Single) -> None:
    for _ in range(3):
        for future in [single.submit(small.inputs) for _ in range(3)]:
            plans.assert_equal(future.result(20), small.outputs)
    state = single.state()
    assert (state.answered, state.refused, state.failed, state.queued, state.in_flight) == (9, 0, 0, 0, 0)
    assert state.ready
    assert 0 < state.latency_s["p50"] <= state.latency_s["p99"]
    assert state.throughput_items_per_s > 0
    assert {name: form.shape for name, form in single.signature.outputs.items()} == {
        name: array.shape for name, array in small.outputs.items()
    }


def test_the_queue_is_bounded(small: Small, single: Single) -> None:
    futures, busy = [], 0
    for _ in range(200):
        try:
            futures.append(single.submit(small.inputs))
        except Busy as fault:
            busy += fault.retry_after_s > 0
    assert busy
    assert single.state().refused == busy
    for future in futures:
        plans.assert_equal(future.result(20), small.outputs)


def test_wrong_input_is_refused_at_the_door(small: Small, single: Single) -> None:
    with pytest.raises(InputError, match="wrong shape"):
        single.submit(small.inputs | {"image": np.zeros((1, 3, 2, 2), np.float32)})
    plans.assert_equal(single.submit(small.inputs).result(20), small.outputs)


def test_deadlines_and_items_given_up(small: Small, single: Single) -> None:
    with pytest.raises(LimitError, match="deadline"):
        single.submit(small.inputs, 0.0).result(20)
    futures = [single.submit(small.inputs) for _ in range(4)]
    if futures[-1].cancel():
        with pytest.raises(CancelledError):
            futures[-1].result(20)
    plans.assert_equal(futures[0].result(20), small.outputs)


def test_a_drain_ends_what_was_taken(small: Small, single: Single) -> None:
    futures = [single.submit(small.inputs) for _ in range(4)]
    assert single.drain(20)
    assert all(future.done() for future in futures)
    with pytest.raises(Unavailable, match="ending"):
        single.submit(small.inputs)
    assert [each.kind for each in single.happenings()] == ["began", "drained"]
    assert single.drain(1)
    assert len(single.happenings(0)) == 1


def test_a_lost_worker_is_told_and_everything_taken_fails_with_it(small: Small) -> None:
    heard: list[Happening] = []
    with served(small.plan, Settings(over="tcp"), 64) as backend:
        backend.listen(heard.append)()
        backend.listen(heard.append)
        backend.submit(small.inputs).result(20)
        plans.workers()[-1].kill()
        futures = []
        deadline_s = time.monotonic() + 20
        while backend.state().ready and time.monotonic() < deadline_s:
            try:
                futures.append(backend.submit(small.inputs))
            except (Busy, Unavailable):
                time.sleep(0.01)
        wait_for(lambda: all(future.done() for future in futures))
        assert isinstance(futures[-1].exception(), Unavailable)
        with pytest.raises(Unavailable, match="is gone"):
            backend.submit(small.inputs)
        state = backend.state()
        assert not state.ready
        assert [device.present for device in state.devices] == [False, False]
        assert [each.kind for each in heard] == ["lost"]
        assert backend.drain(5)


def test_networks_that_remember_are_refused(small: Small) -> None:
    model = replace(small.plan.model, carried=(Carried("a", "b"),))
    with pytest.raises(InputError, match="remembers"), served(replace(small.plan, model=model), Settings(), 4):
        pass

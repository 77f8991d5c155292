"""A service on real workers that are killed and frozen: every request answered once, rightly, or told why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from shoal.errors import InputError, LimitError
from shoal.graph import load
from shoal.live import Busy, Unavailable
from shoal.live.ground import ThisMachine
from shoal.live.service import KeptService, kept
from shoal.program.drivers.failover import Failover
from shoal.run import Samples, Settings
from tests.run import plans
from tests.run.test_failover import workers
from tests.run.test_opsets import inputs, model


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    path = model(17, "initializers", tmp_path / "model.onnx")
    return Samples(inputs(), tuple(plans.reference(path, each) for each in inputs()))


@pytest.fixture
def service(tmp_path: Path, samples: Samples) -> Iterator[KeptService]:
    graph = load(tmp_path / "model.onnx")
    plan = plans.plan_of(graph, plans.contiguous(graph, 2))
    driver = Failover(period_s=plan.prediction.period_s, rest_s=0.2)
    with kept(plan, ThisMachine(plan, Settings(over="tcp")), driver, queue_limit=16) as found:
        yield found


def ask(service: KeptService, samples: Samples, count: int) -> list[Future]:  # type: ignore[type-arg]
    return [service.submit(samples.inputs[item % len(samples.inputs)]) for item in range(count)]


def assert_right(futures: list[Future], samples: Samples) -> None:  # type: ignore[type-arg]
    for item, future in enumerate(futures):
        plans.assert_equal(future.result(30), samples.expected[item % len(samples.expected)])


def test_requests_are_answered(service: KeptService, samples: Samples) -> None:
    assert_right(ask(service, samples, 16), samples)
    state = service.state()
    assert (state.answered, state.failed, state.refused, state.queued, state.in_flight) == (16, 0, 0, 0, 0)
    assert state.latency_s["p50"] > 0
    assert state.pipeline == ("d0/cpu", "d1/cpu")


def test_a_full_queue_refuses_and_says_when_to_come_again(service: KeptService, samples: Samples) -> None:
    for each in workers("d0/cpu"):
        each.suspend()
    limit = service.state().queue_limit + service.state().window
    held = ask(service, samples, limit)
    with pytest.raises(Busy) as caught:
        service.submit(samples.inputs[0])
    assert 0 < caught.value.retry_after_s <= 30
    for each in workers("d0/cpu"):
        each.resume()
    assert_right(held, samples)


def test_a_deadline_fails_one_request_alone(service: KeptService, samples: Samples) -> None:
    for each in workers():
        each.suspend()
    late = service.submit(samples.inputs[0], deadline_s=0.2)
    with pytest.raises(LimitError, match="deadline"):
        late.result(5)
    for each in workers():
        each.resume()
    assert_right(ask(service, samples, 4), samples)


def test_a_request_may_be_given_up(service: KeptService, samples: Samples) -> None:
    for each in workers():
        each.suspend()
    futures = ask(service, samples, 12)
    assert futures[-1].cancel()
    for each in workers():
        each.resume()
    assert_right(futures[:-1], samples)
    assert service.state().queued == 0


def test_wrong_inputs_are_refused_at_the_door(service: KeptService) -> None:
    with pytest.raises(InputError):
        service.submit({})


def covered(service: KeptService) -> bool:
    """Whether something is prepared for the loss of every device in use."""
    state = service.state()
    return {unit.partition("/")[0] for unit in state.pipeline} == set(state.standbys) != set()


def test_killed_workers_cost_nothing_but_time(service: KeptService, samples: Samples) -> None:
    expected = []
    futures = []
    for _ in range(4):
        eventually(lambda: covered(service))
        serving = service.state().pipeline[-1]
        for _ in range(12):
            futures += ask(service, samples, 1)
            expected.append(samples.expected[0])
            if len(futures) % 12 == 8:
                for each in workers(serving):
                    each.kill()
        wait(futures, 30)
    for future, answer in zip(futures, expected, strict=True):
        plans.assert_equal(future.result(0), answer)
    kinds = [each.kind for each in service.happenings()]
    assert "lost" in kinds
    assert "switched" in kinds


def test_draining_ends_what_was_taken_and_takes_no_more(service: KeptService, samples: Samples) -> None:
    futures = ask(service, samples, 10)
    assert service.drain(30)
    assert_right(futures, samples)
    with pytest.raises(Unavailable, match="ending"):
        service.submit(samples.inputs[0])

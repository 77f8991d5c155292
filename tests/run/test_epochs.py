"""Plans changed under a running pipeline: nothing lost, nothing reordered, and the old one serves meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shoal import report
from shoal.errors import InputError, PlanError, WorkError
from shoal.graph import load
from shoal.plan import Plan
from shoal.program import Command, Driver, Event, Item, Prepare, Program, SwitchEpoch, Workload, switches
from shoal.program.drivers.replan import Replan, Schedules, bucket_of
from shoal.record import Estimate, Run
from shoal.run import (
    EpochsResult,
    Samples,
    Settings,
    execute_epochs,
    opened_epochs,
    running,
    simulated_epochs,
    standby,
)
from tests.harness import stream, zeros
from tests.programs import Piece, chain, program
from tests.run import plans
from tests.run.test_opsets import inputs, model
from tests.turnover import OnceReady, Turnover

OVER = ("memory", "shm", "tcp")
ITEMS = 200


@dataclass(frozen=True)
class Given:
    """Two plans of one small model, in two stages and in one, and its inputs with the answers to them."""

    plans: tuple[Plan, Plan]
    samples: Samples


@pytest.fixture
def given(tmp_path: Path) -> Given:
    path = model(17, "initializers", tmp_path / "model.onnx")
    graph = load(path)
    pair = (plans.plan_of(graph, plans.contiguous(graph, 2)), plans.plan_of(graph, plans.undivided(graph)))
    fleet = plans.fleet(2)
    return Given(
        tuple(replace(plan, fleet=fleet) for plan in pair),  # type: ignore[arg-type]  # two of two
        Samples(inputs(), tuple(plans.reference(path, each) for each in inputs())),
    )


def run(
    given: Given, driver: Driver, over: str, items: int = ITEMS, prepare_s: float | None = None
) -> EpochsResult:
    workload = Workload(items, window=8)
    return execute_epochs(given.plans, driver, workload, Settings(over=over), given.samples, prepare_s=prepare_s)


def assert_whole(found: EpochsResult, given: Given, items: int = ITEMS) -> None:
    """Every item answered once, in order, as the undivided model answers; and the account adds up."""
    assert found.outcome.failure == ""
    assert [answer.item for answer in found.outcome.observed.answers] == list(range(items))
    times_s = [answer.answered_s for answer in found.outcome.observed.answers]
    assert times_s == sorted(times_s)
    assert found.answers is not None
    assert list(found.answers) == list(range(items))
    for item, outputs in found.answers.items():
        plans.assert_equal(outputs, given.samples.expected[item % len(given.samples.expected)])
    assert found.run.outputs_match
    assert not [note for note in found.run.notes if "B and received" in note or "busy for" in note]


def epochs(found: EpochsResult) -> list[int]:
    return [answer.epoch for answer in found.outcome.observed.answers]


@pytest.mark.parametrize("over", OVER)
def test_there_and_back(over: str, given: Given, tmp_path: Path) -> None:
    """Each change waits for workers that are started only then; those that were left are let go."""
    found = run(given, Turnover({100: 1, 150: 0}, retire=True), over)
    assert_whole(found, given)
    assert epochs(found) == [0] * 100 + [1] * 50 + [0] * 50
    there, back = switches(found.run.trace.facts)
    assert (there.item, there.epoch, back.item, back.epoch) == (100, 1, 150, 0)
    assert there.drain_s > 0
    assert back.drain_s > 0
    prepared = [fact for fact in found.run.trace.facts if fact.kind == "prepare_s"]
    assert [(fact.item, fact.subject) for fact in prepared] == [(99, "epoch 1"), (149, "epoch 0")]
    assert all(fact.value > 0 for fact in prepared)
    assert not plans.workers()
    _accounted(found.run, tmp_path / "report.html")


def _accounted(run: Run, page: Path) -> None:
    """Both plans ran on d0, and what it did is the sum of them; pages and tables are made of it as ever."""
    assert set(run.devices) == {"d0", "d1"}
    names = {span.name for span in run.spans if span.kind == "run"}
    assert {"s0", "e1.s0"} <= names
    spent_s = sum(span.end_s - span.start_s for span in run.spans if span.kind == "run" and span.unit == "d0/cpu")
    assert run.devices["d0"].busy_s == pytest.approx(spent_s)
    assert run.devices["d0"].weights_bytes > 0
    report.write_html([run], page)
    assert "items from 100 on went through epoch 1" in page.read_text()


@pytest.mark.parametrize("over", OVER)
def test_started_behind_what_is_in_flight(over: str, given: Given) -> None:
    """Nothing waits for the change, and still no answer overtakes it."""
    found = run(given, Turnover({40: 1, 90: 0, 95: 1, 96: 0}, drain=False), over, prepare_s=0.0)
    assert_whole(found, given)
    assert epochs(found) == [0] * 40 + [1] * 50 + [0] * 5 + [1] + [0] * 104
    assert [switch.item for switch in switches(found.run.trace.facts)] == [40, 90, 95, 96]


def test_the_old_epoch_serves_while_the_new_one_is_prepared(given: Given) -> None:
    seen: list[int] = []
    with opened_epochs(given.plans, Settings(over="shm")) as coordinator:
        outcome = coordinator.run(
            OnceReady(), Workload(1, window=8), given.samples.of, lambda item, _: seen.append(item)
        )
        assert len(plans.workers()) == 3
    (switch,) = switches(outcome.observed.facts)
    assert switch.item > 8
    assert seen == list(range(switch.item + 20))
    (prepared,) = [fact for fact in outcome.observed.facts if fact.kind == "prepare_s"]
    assert prepared.value > switch.drain_s
    assert set(outcome.parts) == {0, 1}
    assert not plans.workers()


def test_a_new_epoch_that_cannot_start_leaves_the_old_one_serving(given: Given) -> None:
    sound, other = given.plans
    (device, *rest) = other.fleet.devices
    broken = replace(other, fleet=replace(other.fleet, devices=(replace(device, cores=(4095,)), *rest)))
    with opened_epochs([sound, broken], Settings(over="tcp")) as coordinator:
        outcome = coordinator.run(OnceReady(5), Workload(1), given.samples.of, lambda *_: None)
        again = coordinator.run(Turnover(), Workload(10), given.samples.of, lambda *_: None)
    assert outcome.failure == again.failure == ""
    assert {answer.epoch for answer in outcome.observed.answers} == {0}
    (note,) = outcome.notes
    assert note.startswith("epoch 1 was not to be had: d0/cpu: did not start: cannot run on the cores 4095")
    assert again.notes == ()


def test_a_ready_epoch_that_loses_a_worker_is_told_and_the_old_one_serves(given: Given) -> None:
    with opened_epochs(given.plans, Settings(over="shm"), prepare_s=0.0) as coordinator:
        coordinator.run(Turnover(), Workload(1), given.samples.of, lambda *_: None)  # all are there
        *_, last = plans.workers()

        def sink(item: int, _: object) -> None:
            if item == 5:
                os.kill(last.pid, signal.SIGKILL)

        workload = Workload(40, "rate", rate_items_per_s=40)
        outcome = coordinator.run(stream(), workload, given.samples.of, sink)
    assert outcome.failure == ""
    assert len(outcome.observed.answers) == 40
    assert outcome.notes == ("epoch 1 was not to be had: d0/cpu is gone (killed by signal 9)",)


def test_a_worker_lost_after_the_switch_ends_the_run_as_ever(given: Given) -> None:
    with opened_epochs(given.plans, Settings(over="shm")) as coordinator:

        def sink(item: int, _: object) -> None:
            if item == 20:
                plans.workers()[-1].kill()

        outcome = coordinator.run(Turnover({10: 1}), Workload(10_000), given.samples.of, sink)
    assert outcome.failure.startswith("d0/cpu is gone (killed by signal 9); items in flight: ")
    assert not plans.workers()


@dataclass(frozen=True)
class Says:
    """Says one thing, first of all."""

    command: Command

    def begin(self, program: Program, workload: Workload) -> int:
        return 0

    def step(self, state: int, event: Event, time_s: float) -> tuple[int, tuple[Command, ...]]:
        return state, (self.command,)


@pytest.mark.parametrize(
    ("command", "fault", "message"),
    [
        (Prepare(2), InputError, r"the driver asks for epoch 2, and there is none \(needed one of 0, 1\)"),
        (SwitchEpoch(7), InputError, "the driver asks for epoch 7"),
        (SwitchEpoch(1), WorkError, "switches to epoch 1, which is not ready"),
    ],
)
def test_what_a_driver_may_not_ask(command: Command, fault: type[Exception], message: str, given: Given) -> None:
    with (
        opened_epochs(given.plans, Settings(over="memory")) as coordinator,
        pytest.raises(fault, match=message),
    ):
        coordinator.run(Says(command), Workload(1), given.samples.of, lambda *_: None)
    paced = tuple(_estimated(plan, 0.01, 0.01) for plan in given.plans)
    with pytest.raises(fault, match=message):
        simulated_epochs(paced, Says(command), Workload(1), prepare_s=1.0)


def test_plans_of_other_inputs_are_refused(given: Given, tmp_path: Path) -> None:
    other = load(model(17, "also inputs", tmp_path / "other.onnx"))
    more = plans.plan_of(other, plans.undivided(other))
    wrong = replace(more, model=replace(more.model, path=given.plans[0].model.path))
    with pytest.raises(PlanError), opened_epochs([given.plans[0], wrong]):
        pass


def _estimated(plan: Plan, *seconds: float) -> Plan:
    """The plan with a time for each segment, in their order."""
    names = sorted(plan.segment_units)
    estimates = {name: Estimate(each, 0.0, 0, 0, "predicted") for name, each in zip(names, seconds, strict=False)}
    period_s = max(seconds)
    return replace(plan, estimates=estimates, prediction=replace(plan.prediction, period_s=period_s))


SPARSE, DENSE = 100, 100_000
TABLE = Schedules(
    ("nnz",),
    {(bucket_of(SPARSE),): {0: 0.020, 1: 0.030}, (bucket_of(DENSE),): {0: 0.020, 1: 0.012}},
)


def _workload(items: int, dense: Callable[[int], bool]) -> Workload:
    pattern = tuple(Item(bindings={"nnz": DENSE if dense(number) else SPARSE}) for number in range(items))
    return Workload(items, window=8, pattern=pattern)


def test_simulated_and_real_change_at_the_same_items(given: Given) -> None:
    """Data turn dense at item 15 and sparse again at 40; decisions every 5 items, two in a row, one to prepare."""
    pair = (_estimated(given.plans[0], 0.02, 0.015), _estimated(given.plans[1], 0.012))
    workload = _workload(60, lambda number: 15 <= number < 40)
    driver = Replan(TABLE, group=5, cost_s=0.05, keep=True)
    simulated = simulated_epochs(pair, driver, workload)
    real = execute_epochs(pair, driver, workload, Settings(over="memory"), given.samples, prepare_s=0.0)
    assert_whole(real, given, 60)
    assert epochs(simulated) == epochs(real) == [0] * 25 + [1] * 20 + [0] * 15
    assert [(span.unit, span.name) for span in simulated.run.spans if span.kind == "run" and span.item == 30] == [
        ("d0/cpu", "e1.s0")
    ]


@pytest.mark.serial
def test_a_stated_time_to_prepare_emulated_boards(given: Given) -> None:
    """0.6 s are 6 items: asked for at item 4, ready by the decision at item 12."""
    pair = (_estimated(given.plans[0], 0.1, 0.08), _estimated(given.plans[1], 0.07))
    workload = _workload(20, lambda number: number >= 4)
    driver = Replan(TABLE, group=4, patience=1)
    simulated = simulated_epochs(pair, driver, workload, prepare_s=0.6)
    settings = Settings(over="memory", emulate=True)
    emulated = execute_epochs(pair, driver, workload, settings, given.samples, prepare_s=0.6)
    assert_whole(emulated, given, 20)
    assert epochs(emulated) == epochs(simulated)
    assert 1 in epochs(simulated)
    assert emulated.run.period_s == pytest.approx(simulated.run.period_s, rel=1e-6)
    for one, other in zip(switches(emulated.run.trace.facts), switches(simulated.run.trace.facts), strict=True):
        assert one.drain_s == pytest.approx(other.drain_s, rel=1e-6)
    assert emulated.run.devices["d0"].busy_s == pytest.approx(simulated.run.devices["d0"].busy_s)
    (fact,) = [fact for fact in emulated.run.trace.facts if fact.kind == "prepare_s"]
    assert fact.value == pytest.approx(0.6)


def test_an_emulated_board_cannot_serve_two_epochs_at_once(given: Given) -> None:
    pair = (_estimated(given.plans[0], 0.02, 0.015), _estimated(given.plans[1], 0.012))
    with pytest.raises(WorkError, match="only when nothing is in flight"):
        execute_epochs(
            pair, Turnover({5: 1}, drain=False), Workload(10), Settings(over="memory", emulate=True), given.samples
        )


@pytest.mark.parametrize("over", ["memory", "shm"])
def test_programs_without_plans(over: str, tmp_path: Path) -> None:
    """A chain over two units, and the same segments on one of them."""
    first = chain("a/cpu", "b/cpu")
    second = replace(program([Piece("s0", "a/cpu"), Piece("s1", "a/cpu", ("s0",))]), epoch=1)
    order: list[int] = []
    others = {1: standby(second, tmp_path, over)}
    with running(first, tmp_path, over, others=others) as (coordinator, _):
        outcome = coordinator.run(Turnover({20: 1}), Workload(40), zeros(first), lambda item, _: order.append(item))
    assert outcome.failure == ""
    assert order == list(range(40))
    assert [answer.epoch for answer in outcome.observed.answers] == [0] * 20 + [1] * 20
    assert {span.unit for span in outcome.parts[1].spans} == {"a/cpu"}

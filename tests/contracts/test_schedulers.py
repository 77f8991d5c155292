"""What every scheduler promises: valid schedules, the same for the same question, whatever the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import PlanError
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule, Slot, faults
from shoal.program.tasks import Processors, TaskGraph
from tests.plan.schedulers.graphs import canonical, random_case, three

SCHEDULERS = catalog.names("plan/schedulers")
INSERTING = ("heft", "peft", "cpop")


def made(name: str, tasks: TaskGraph, processors: Processors) -> Schedule:
    found: Schedule = catalog.make("plan/schedulers", name).schedule(tasks, processors)
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_schedules_are_valid(name: str, seed: int) -> None:
    tasks, processors = random_case(seed, *((7, 3) if name == "optimal" else (30, 5)))
    found = made(name, tasks, processors)
    assert faults(tasks, processors, found) == ()
    assert found == made(name, tasks, processors)


@pytest.mark.parametrize("name", INSERTING)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_gaps_only_help_where_order_and_choices_stay(name: str, seed: int) -> None:
    tasks, processors = random_case(seed, 25, 4)
    plain = made(f"{name}:insertion=false", tasks, processors)
    assert faults(tasks, processors, plain) == ()
    where = {slot.task: processors.names.index(slot.processor) for slot in plain.slots}
    order = [tasks.position[slot.task] for slot in plain.slots]
    again = Bookings(tasks, processors).book_all(order, lambda v: where[tasks.tasks[v]])
    assert again.makespan_s <= plain.makespan_s + 1e-9
    for inserted, appended in zip(again.slots, plain.slots, strict=True):
        assert inserted.end_s <= appended.end_s + 1e-9


@pytest.mark.parametrize("name", SCHEDULERS)
def test_times_of_other_processors_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match=r"canonical: each task needs a time for every processor.*2: a, b.*had 3"):
        made(name, canonical(), Processors.alike(("a", "b")))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_single_processor_does_one_after_the_other(name: str) -> None:
    tasks, _ = random_case(12, 7, 1)
    found = made(name, tasks, Processors.alike(("p",)))
    assert found.makespan_s == pytest.approx(float(tasks.w.sum()))


def spoilt(found: Schedule) -> Iterator[Schedule]:
    """A task missing, one too short, one too early, and two at a time."""
    first, *_, last = found.slots
    yield Schedule(found.slots[:-1])
    yield Schedule((*found.slots[:-1], Slot(last.task, last.processor, last.start_s, last.end_s - 1)))
    yield Schedule((*found.slots[:-1], Slot(last.task, last.processor, last.start_s - 1, last.end_s - 1)))
    moved = found.slots[1]
    seconds = canonical().w[canonical().position[moved.task], three().names.index(first.processor)]
    yield Schedule((first, Slot(moved.task, first.processor, 0.0, float(seconds)), *found.slots[2:]))


def test_the_check_sees_what_is_wrong() -> None:
    found = made("heft", canonical(), three())
    wrong = [faults(canonical(), three(), each) for each in spoilt(found)]
    assert np.all([len(each) > 0 for each in wrong])
    assert "missing: 10" in wrong[0][0]
    assert any("takes 7 s" in each for each in wrong[1])
    assert any("before 8's data" in each for each in wrong[2])
    assert any("overlap on p3" in each for each in wrong[3])

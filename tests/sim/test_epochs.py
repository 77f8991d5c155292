"""Several epochs in simulated time, against cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.errors import WorkError
from shoal.program import Driver, Epoch, Pace, Workload, switches
from shoal.record import Observed
from shoal.sim import Scenario, UnitDies, simulate, simulate_epochs
from tests.harness import stream
from tests.programs import Piece, chain, paced, program
from tests.turnover import OnceReady, Turnover

A, B = "a/cpu", "b/cpu"
TWO, ONE = chain(A, B), replace(program([Piece("s1", A)]), epoch=1)
PACES = {0: paced(TWO, {"s0": 0.2, "s1": 0.5}), 1: paced(ONE, {"s1": 0.1})}


def run(driver: Driver, items: int, prepare_s: float = 0.0) -> Observed:
    epochs = {number: Epoch(made, PACES[number], prepare_s) for number, made in ((0, TWO), (1, ONE))}
    return simulate_epochs(epochs, driver, Workload(items, window=4))


def answers(observed: Observed) -> list[float]:
    return [round(answer.answered_s, 9) for answer in observed.answers]


def test_one_epoch_is_the_simulation_of_its_program() -> None:
    workload = Workload(5, window=4)
    assert simulate_epochs({0: Epoch(TWO, PACES[0])}, stream(), workload) == simulate(
        TWO, PACES[0], stream(), workload
    )


def test_it_drains_and_switches() -> None:
    """Three items take until 1.7; then one every 0.1. Item 3 could have begun at once: it waited all that time."""
    observed = run(Turnover({3: 1}), 6)
    assert answers(observed) == [0.7, 1.2, 1.7, 1.8, 1.9, 2.0]
    assert [answer.epoch for answer in observed.answers] == [0, 0, 0, 1, 1, 1]
    (switch,) = switches(observed.facts)
    assert (switch.item, switch.epoch, switch.drain_s) == (3, 1, pytest.approx(1.7))
    assert observed.units[A].busy_s == pytest.approx(3 * 0.2 + 3 * 0.1)
    assert observed.units[B].busy_s == pytest.approx(3 * 0.5)


def test_answers_of_a_later_epoch_wait() -> None:
    """Items 2 and 3 are done by a at 0.5 and 0.6, behind items 0 and 1; item 1 goes out at 1.2, and so do they."""
    observed = run(Turnover({2: 1}, drain=False), 4)
    assert [answer.item for answer in observed.answers] == [0, 1, 2, 3]
    assert answers(observed) == [0.7, 1.2, 1.2, 1.2]
    own = [(span.name, round(span.start_s, 9)) for span in observed.spans if span.unit == A and span.kind == "run"]
    assert own == [("s0", 0.0), ("s0", 0.2), ("e1.s1", 0.4), ("e1.s1", 0.5)]


def test_preparing_takes_its_time_while_the_old_epoch_serves() -> None:
    """At 3.0 items 5 to 8 are in flight; the last of them is answered at 4.7."""
    observed = run(OnceReady(after=2), 1, prepare_s=3.0)
    (switch,) = switches(observed.facts)
    in_old = [answer for answer in observed.answers if not answer.epoch]
    assert len(in_old) == switch.item == 9
    assert in_old[-1].answered_s == pytest.approx(0.7 + 8 * 0.5)
    assert answers(observed)[-2:] == [4.8, 4.9]
    (fact,) = [fact for fact in observed.facts if fact.kind == "prepare_s"]
    assert fact.value == 3.0


def test_units_of_an_epoch_that_was_never_prepared_did_nothing() -> None:
    other = replace(chain("c/cpu"), epoch=1)
    epochs = {0: Epoch(chain(A), Pace({"s0": 0.1})), 1: Epoch(other, Pace({"s0": 0.1}))}
    assert set(simulate_epochs(epochs, Turnover(), Workload(2)).units) == {A}
    assert set(simulate_epochs(epochs, Turnover({1: 1}), Workload(2)).units) == {A, "c/cpu"}


def test_a_program_of_a_later_epoch_alone_bears_its_name() -> None:
    observed = simulate(ONE, PACES[1], stream(), Workload(2))
    assert {span.name for span in observed.spans if span.kind == "run"} == {"e1.s1"}
    assert observed.totals is not None
    assert observed.totals.segment_s == {"e1.s1": pytest.approx(0.2)}


def test_a_unit_that_dies_is_gone_in_every_epoch() -> None:
    """Both epochs use a; it dies at 0.45, while it runs an item of either."""
    epochs = {number: Epoch(made, PACES[number]) for number, made in ((0, TWO), (1, ONE))}
    scenario = Scenario(faults=(UnitDies(A, 0.45),))
    with pytest.raises(WorkError, match="a/cpu is gone"):
        simulate_epochs(epochs, Turnover({2: 1}, drain=False), Workload(4, window=4), scenario=scenario)

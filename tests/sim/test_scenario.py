"""Noise and faults in simulated time."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulator import mesh
from shoal.errors import InputError, WorkError
from shoal.program import Begun, Command, Event, Hop, Pace, Program, Start, Stop, Workload
from shoal.record import Observed
from shoal.sim import Fault, LinkSlows, Noise, Scenario, Trial, UnitDies, UnitSlows, attempt, simulate
from tests.harness import stream
from tests.programs import chain, paced

A, B = "a/cpu", "b/cpu"


def attempted(made: Program, pace: Pace, items: int, *faults: Fault, noise: Noise | None = None) -> Trial:
    return attempt(made, pace, stream(), Workload(items, window=9), scenario=Scenario(noise, faults))


def answers(trial: Trial) -> list[float]:
    return [round(answer.answered_s, 9) for answer in trial.observed.answers]


def over(edge: str, bytes_per_s: float = 1000.0, medium: str = "wifi") -> dict[str, tuple[Hop, ...]]:
    return {edge: (Hop(medium, bytes_per_s, 0.0),)}


# Noise


def test_without_noise_or_faults_nothing_changes() -> None:
    made, pace = mesh(units=8, routes=4, longest=4, window=6)
    plain = simulate(made, pace, stream(), Workload(40, window=6))
    assert attempted_with(made, pace, Scenario(Noise())) == plain
    assert attempted_with(made, pace, Scenario()) == plain


def attempted_with(made: Program, pace: Pace, scenario: Scenario) -> Observed:
    return simulate(made, pace, stream(), Workload(40, window=6), scenario=scenario)


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_factors_have_mean_one_and_the_deviation_asked_for(kind: Any) -> None:
    noise = Noise(run_sigma=0.2, transfer_sigma=0.3, kind=kind, seed=3)
    runs = [noise.of_run(item, "s") for item in range(20_000)]
    moves = [noise.of_transfer(item, "s") for item in range(20_000)]
    assert statistics.fmean(runs) == pytest.approx(1.0, abs=0.005)
    assert statistics.stdev(runs) == pytest.approx(0.2, rel=0.03)
    assert statistics.fmean(moves) == pytest.approx(1.0, abs=0.008)
    assert statistics.stdev(moves) == pytest.approx(0.3, rel=0.03)
    skew = statistics.fmean((each - 1) ** 3 for each in runs) / 0.2**3
    assert skew == pytest.approx(0.0 if kind == "normal" else 3 * 0.2 + 0.2**3, abs=0.1)


def test_a_factor_is_clipped_at_the_floor() -> None:
    wide = [Noise(run_sigma=1.0).of_run(item, "s") for item in range(2_000)]
    assert min(wide) == 0.1
    assert 0.1 < sum(each == 0.1 for each in wide) / len(wide) < 0.25  # P(N(1, 1) < 0.1) = 0.184


def test_an_item_meets_the_same_noise_whatever_the_order() -> None:
    noise = Noise(run_sigma=0.5, transfer_sigma=0.5, seed=7)
    made = chain(A, B, floats=250)
    pace = paced(made, {"s0": 1.0, "s1": 2.0}, 1000.0)
    found = []
    for window in (1, 4):
        observed = simulate(made, pace, stream(), Workload(12, window=window), scenario=Scenario(noise))
        found.append({(s.name, s.item): s.end_s - s.start_s for s in observed.spans if s.kind == "run"})
    assert found[0] == pytest.approx(found[1])
    assert found[0]["s1", 5] == pytest.approx(2.0 * noise.of_run(5, "s1"))
    other = Noise(run_sigma=0.5, seed=8)
    assert [noise.of_run(item, "s1") for item in range(5)] != [other.of_run(item, "s1") for item in range(5)]


def test_a_transfer_takes_its_factor_at_every_hop_and_no_more_bytes() -> None:
    noise = Noise(transfer_sigma=0.5, seed=1)
    made = chain(A, B, floats=250)
    way = (Hop("wifi", 1000.0, 0.25), Hop("cable", 4000.0, 0.5))
    observed = simulate(
        made, Pace({"s0": 1.0, "s1": 1.0}, {f"s0>{B}": way}), stream(), Workload(1), scenario=Scenario(noise)
    )
    (moved,) = [span for span in observed.spans if span.name == f"s0>{B}"]
    factor = noise.of_transfer(0, f"s0>{B}")
    assert moved.end_s - moved.start_s == pytest.approx(1.25 * factor + 0.75)
    assert moved.bytes == 1000


@pytest.mark.parametrize(
    "options", [{"run_sigma": -0.1}, {"floor": 0.0}, {"kind": "gamma"}, {"run_sigma": math.nan}]
)
def test_noise_that_makes_no_sense(options: Any) -> None:
    with pytest.raises(InputError, match="nois"):
        Noise(**options)


# Faults


def test_a_unit_that_dies_is_lost_with_what_it_runs() -> None:
    made = chain(A, B)
    trial = attempted(made, Pace({"s0": 1.0, "s1": 1.0}), 3, UnitDies(B, 2.5))
    # a: 0-1, 1-2, 2-; b: 0 at 1-2, 1 at 2-; both are cut at 2.5, when the driver gives up
    assert trial.failure == "b/cpu is gone (it died at 2.5 s)"
    assert answers(trial) == [2.0]
    assert {name: report.busy_s for name, report in trial.observed.units.items()} == {A: 2.5, B: 1.5}
    runs = [(s.unit, s.item, s.start_s, s.end_s) for s in trial.observed.spans if s.kind == "run"]
    assert runs == [(A, 0, 0.0, 1.0), (A, 1, 1.0, 2.0), (B, 0, 1.0, 2.0), (A, 2, 2.0, 2.5), (B, 1, 2.0, 2.5)]
    assert trial.observed.totals is not None
    assert trial.observed.totals.unreceived_bytes == {}


def test_what_is_on_its_way_when_the_driver_gives_up_was_sent_and_not_received() -> None:
    made = chain(A, B, floats=250)
    trial = attempted(made, Pace({"s0": 1.0, "s1": 1.0}, over(f"s0>{B}", 250.0)), 1, UnitDies(B, 2.0))
    assert trial.observed.totals is not None
    assert trial.observed.totals.unreceived_bytes == {f"s0>{B}": 1000}
    assert (trial.observed.units[A].sent_bytes, trial.observed.units[B].received_bytes) == (1000, 0)
    assert trial.observed.totals.ended_s == 1.0


def test_simulate_says_why_it_ended_early() -> None:
    with pytest.raises(WorkError, match="a/cpu is gone"):
        simulate(chain(A), Pace({"s0": 1.0}), stream(), Workload(2), scenario=Scenario(faults=(UnitDies(A, 0.5),)))


class Stubborn:
    """Starts two items and waits, whatever happens."""

    def begin(self, program: Program, workload: Workload) -> None:
        return None

    def step(self, state: None, event: Event, time_s: float) -> tuple[None, tuple[Command, ...]]:
        return None, (Start(0, 0), Start(1, 0), Stop()) if isinstance(event, Begun) else ()


def test_messages_to_a_dead_unit_are_lost() -> None:
    made = chain(A, B)
    trial = attempt(
        made, Pace({"s0": 1.0, "s1": 3.0}), Stubborn(), Workload(2), scenario=Scenario(faults=(UnitDies(B, 1.5),))
    )
    assert trial.failure == "items 0, 1 never ended, for what a fault took"
    assert trial.observed.totals is not None
    assert trial.observed.totals.unreceived_bytes == {f"s0>{B}": 16}  # of item 1, at 2 s
    assert trial.observed.units[A].busy_s == 2.0


def test_a_death_after_the_end_changes_nothing() -> None:
    trial = attempted(chain(A), Pace({"s0": 1.0}), 2, UnitDies(A, 5.0))
    assert (trial.failure, answers(trial)) == ("", [1.0, 2.0])


def test_a_slow_unit_is_slow_for_the_part_of_a_run_that_falls_in_it() -> None:
    trial = attempted(chain(A), Pace({"s0": 1.0}), 3, UnitSlows(A, 2.0, 0.5, 2.0))
    # 0: half done at 0.5, the rest until 1.5; 1: a quarter done at 2.0, the rest until 2.75
    assert answers(trial) == [1.5, 2.75, 3.75]
    assert trial.observed.units[A].busy_s == pytest.approx(3.75)


def test_faults_that_overlap_multiply() -> None:
    trial = attempted(chain(A), Pace({"s0": 1.0}), 1, UnitSlows(A, 2.0, 0.0), UnitSlows(A, 2.0, 1.0, 2.0))
    assert answers(trial) == [2.5]  # half by 1, a quarter by 2, a quarter by 2.5


def test_a_slow_link_is_slow_for_the_part_of_a_message_that_falls_in_it() -> None:
    made = chain(A, floats=250)
    trial = attempted(made, Pace({"s0": 0.25}, over(f"x>{A}")), 2, LinkSlows("wifi", 0.5, 0.5, 1.5))
    assert answers(trial) == [1.75, 2.75]  # 500 B by 0.5, the rest by 1.5; the next by 2.5


def test_what_is_sent_while_a_link_is_down_waits_for_it() -> None:
    made = chain(A, floats=250)
    trial = attempted(made, Pace({"s0": 0.5}, over(f"x>{A}")), 2, LinkSlows("wifi", 0.0, 0.25, 1.25))
    assert answers(trial) == [2.5, 3.5]  # 250 B, a second of nothing, 750 B; then the next


def test_a_link_s_name_stands_for_both_directions_and_not_for_others() -> None:
    made = chain(A, B, floats=250)
    hops = over(f"s0>{B}", medium="eth:a>b") | over("s1>client", medium="eth2:b>a")
    assert answers(attempted(made, Pace({"s0": 1.0, "s1": 1.0}, hops), 1, LinkSlows("eth", 0.5, 0.0))) == [5.0]


def test_a_link_that_stays_down_leaves_items_on_their_way() -> None:
    made = chain(A, floats=250)
    trial = attempted(made, Pace({"s0": 0.5}, over(f"x>{A}")), 2, LinkSlows("wifi", 0.0, 0.25))
    assert trial.failure == "items 0, 1 never ended, for what a fault took"
    assert trial.observed.answers == ()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (UnitDies("z/cpu", 1.0), "a unit 'z/cpu'"),
        (UnitDies(A, -1.0), "zero or later"),
        (UnitSlows(A, 0.0, 0.0), "above zero"),
        (UnitSlows(A, 2.0, 3.0, 2.0), "ends after it begins"),
        (LinkSlows("lte", 0.5, 0.0), "no message crosses a link 'lte'"),
        (LinkSlows("wifi", -1.0, 0.0), "zero or more"),
        (LinkSlows("wifi", 0.5, math.nan), "ends after it begins"),
    ],
)
def test_faults_that_make_no_sense(fault: Fault, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attempted(chain(A), Pace({"s0": 1.0}, over(f"x>{A}")), 1, fault)


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[Program, Pace, Scenario]:
    """A small mesh with noise and up to four faults."""
    made, pace = mesh(units=6, routes=5, longest=4, window=5, seed=draw(st.integers(0, 20)))
    times = st.floats(0.0, 0.5)
    media = sorted({hop.medium for hops in pace.hops.values() for hop in hops})
    unit, link = st.sampled_from(made.units), st.sampled_from(media)
    fault = st.one_of(
        st.builds(UnitDies, unit, times),
        st.builds(
            lambda u, f, t, d: UnitSlows(u, f, t, t + d), unit, st.floats(0.5, 9.0), times, st.floats(0.01, 9.0)
        ),
        st.builds(
            lambda m, r, t, d: LinkSlows(m, r, t, t + d), link, st.floats(0.0, 2.0), times, st.floats(0.01, 9.0)
        ),
    )
    noise = draw(st.none() | st.builds(Noise, st.just(0.3), st.just(0.3)))
    return made, pace, Scenario(noise, tuple(draw(st.lists(fault, max_size=4))))


@settings(deadline=None, max_examples=40)
@given(scenarios(), st.sampled_from([0, 40, 100_000]))
def test_every_run_adds_up(case: tuple[Program, Pace, Scenario], most: int) -> None:
    made, pace, scenario = case
    trial = attempt(made, pace, stream(), Workload(30, window=5), scenario=scenario, max_spans=most)
    assert bool(trial.failure) == (
        len(trial.observed.answers) < 30
    )  # else ProgramError, from what is checked inside

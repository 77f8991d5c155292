"""Random Programs take the same steps at the same times on emulated boards and in the simulator."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shoal.program import Pace, Program, Workload, check
from shoal.record import Answer, Observed, Trace
from shoal.sim import simulate
from tests.harness import answered, coordinating, stream, zeros
from tests.programs import INPUT, Piece, paced, program

TRIES = 3


@st.composite
def cases(draw: st.DrawFn) -> tuple[Program, Pace, Workload]:
    """A random graph of segments over 2 to 4 units, links of known speed, and a few items.

    Every link takes 5 ms or more, which is how late a message may really come before it matters: threads wake
    some milliseconds late, and more on a busy machine.
    """
    units = [f"u{number}/cpu" for number in range(draw(st.integers(2, 4)))]
    pieces: list[Piece] = []
    for number in range(draw(st.integers(2, 6))):
        known = [INPUT, *(piece.name for piece in pieces)]
        reads = draw(st.lists(st.sampled_from(known[-3:]), min_size=1, max_size=2, unique=True))
        gate = draw(st.sampled_from(["", "", "", "go", "stop"]))
        pieces.append(Piece(f"s{number}", draw(st.sampled_from(units)), tuple(reads), gate))
    made = program(pieces, window=draw(st.integers(1, 5)), floats=draw(st.sampled_from([25, 250])))
    seconds = draw(st.lists(st.integers(6, 20), min_size=len(pieces), max_size=len(pieces), unique=True))
    pace = paced(
        made,
        {piece.name: count / 1000 for piece, count in zip(pieces, seconds, strict=True)},
        draw(st.sampled_from([1e5, 3e5, 1e6])),
        draw(st.integers(5, 8)) / 1000,
    )
    return made, pace, Workload(draw(st.integers(3, 8)), window=5)


@settings(
    max_examples=25, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(cases())
def test_the_same_steps_at_the_same_times(case: tuple[Program, Pace, Workload]) -> None:
    made, pace, workload = case
    check(made)
    real = _run(made, pace, workload)
    simulated = simulate(made, pace, stream(), workload, Trace(real.facts))
    for unit in made.units:
        assert _order(simulated, unit) == _order(real, unit)
    assert simulated.spans == real.spans
    assert _by_time(simulated) == _by_time(real)
    assert simulated.facts == real.facts


def _run(made: Program, pace: Pace, workload: Workload) -> Observed:
    """Times are carried in the messages, so they are exact unless this machine was so slow that it says so."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TRIES):
            with coordinating(made, Path(folder), "memory", pace) as (coordinator, _):
                found = answered(coordinator, workload, zeros(made)).outcome
            assert not found.failure
            if not found.observed.missed:
                return found.observed
    raise AssertionError(f"this machine was too slow in each of {TRIES} runs")


def _order(observed: Observed, unit: str) -> list[tuple[str, str, int]]:
    return [(span.kind, span.name, span.item) for span in observed.spans if span.unit == unit]


def _by_time(observed: Observed) -> list[Answer]:
    """The answers; of those that are there at the very same moment the older item first."""
    return sorted(observed.answers, key=lambda answer: (answer.answered_s, answer.item))

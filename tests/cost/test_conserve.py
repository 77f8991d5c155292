"""A simulated run adds up, and a record that was tampered with does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shoal import catalog
from shoal.cost import account, check_conserved, elapsed_s, pace
from shoal.cost.conserve import crossed_bytes, energy_faults
from shoal.errors import ProgramError
from shoal.fleet import Fleet
from shoal.program import Program, Workload
from shoal.record import Observed, Span, Totals
from shoal.sim import simulate
from tests.cost.toys import two_and_one, two_stages


def seen(max_spans: int = 100) -> Observed:
    """Five items: a 1 s and b 2 s each, 40 bytes between them."""
    made = two_stages()
    tempo = pace(made, two_and_one(), {"first": 1.0, "second": 2.0})
    return simulate(made, tempo, catalog.make("program/drivers", "stream"), Workload(5), max_spans=max_spans)


def unit(name: str, **changes: float) -> Callable[[Observed], Observed]:
    return lambda it: replace(it, units={**it.units, name: replace(it.units[name], **changes)})


def totals(**changes: dict[str, float]) -> Callable[[Observed], Observed]:
    def changed(it: Observed) -> Observed:
        assert it.totals is not None
        merged = {field: {**getattr(it.totals, field), **more} for field, more in changes.items()}
        return replace(it, totals=replace(it.totals, **merged))

    return changed


def spans(edit: Callable[[list[Span]], object]) -> Callable[[Observed], Observed]:
    def changed(it: Observed) -> Observed:
        found = list(it.spans)
        edit(found)
        return replace(it, spans=tuple(found))

    return changed


def first_run(found: list[Span], **changes: float) -> None:
    at = next(index for index, span in enumerate(found) if span.kind == "run")
    found[at] = replace(found[at], **changes)


TAMPERED = [
    (unit("a/cpu", sent_bytes=199), "a/cpu sent 199 B, its edges 200 B"),
    (unit("b/cpu", received_bytes=240), "b/cpu received 240 B, its edges brought 200 B"),
    (unit("b/cpu", busy_s=9.0), "b/cpu was busy for 9 s, its segments ran 10 s"),
    (unit("b/cpu", busy_s=99.0), "busy for 99 s of a run of"),
    (totals(sent_bytes={"in": 96}), "a/cpu received 80 B, its edges brought 96 B"),
    (totals(unreceived_bytes={"mid": 40}), "'mid' brought 160 B, its spans 200 B"),
    (totals(segment_s={"first": 5.5}), "'first' ran 5.5 s, its spans 5 s"),
    (spans(lambda found: found.pop()), "its spans"),
    (spans(lambda found: first_run(found, end_s=1.5)), "a/cpu ran first and first at 1 s"),
    (lambda it: replace(it, answers=(*it.answers, it.answers[0])), "item 0 was answered twice"),
    (lambda it: replace(it, answers=(replace(it.answers[0], arrived_s=99.0),)), "or before it came"),
]


@pytest.mark.parametrize(("tamper", "message"), TAMPERED, ids=[message for _, message in TAMPERED])
def test_a_tampered_record_is_caught(tamper: Callable[[Observed], Observed], message: str) -> None:
    check_conserved(seen(), two_stages())
    with pytest.raises(ProgramError, match="does not add up") as caught:
        check_conserved(tamper(seen()), two_stages())
    assert message in str(caught.value)


def test_the_account_of_a_simulated_run_refuses_it_too(program: Program, fleet: Fleet) -> None:
    bad = unit("a/cpu", sent_bytes=199)(seen())
    with pytest.raises(ProgramError, match="does not add up"):
        account(bad, program, fleet, workload=Workload(5), provenance="simulated")
    assert account(bad, program, fleet, workload=Workload(5), provenance="measured").notes == (
        "a/cpu sent 199 B, its edges 200 B",
    )


def test_joules_are_those_of_idle_time_runs_and_bytes(program: Program, fleet: Fleet) -> None:
    observed = seen()
    run = account(observed, program, fleet, workload=Workload(5), provenance="simulated")
    time_s = elapsed_s(observed)
    assert time_s == pytest.approx(1.0 + 0.04 + 0.5 + 5 * 2.0)
    joules = {name: figures.energy_j for name, figures in run.devices.items()}
    assert joules == pytest.approx(
        {"a": time_s * 2.0 + 5 * 1.0 * 1.0 + 200 * 4e-6, "b": time_s * 2.0 + 10.0 * 4.0 + 200 * 1e-6}
    )
    assert energy_faults(joules, observed, program, fleet, None) == ()
    (fault,) = energy_faults({**joules, "b": joules["b"] + 1.0}, observed, program, fleet, None)
    assert fault.startswith("b spent 64")


def test_totals_do_not_depend_on_how_many_spans_were_kept(program: Program, fleet: Fleet) -> None:
    every, few = seen(), seen(max_spans=3)
    assert few.spans_dropped == 20 - 3
    assert crossed_bytes(few, program) == {"in": 80.0, "mid": 200.0, "out": 40.0}
    runs = [account(it, program, fleet, workload=Workload(5), provenance="simulated") for it in (every, few)]
    assert runs[0].devices == runs[1].devices


def test_without_totals_a_record_is_held_to_its_reports(program: Program) -> None:
    old = replace(seen(), totals=None)
    check_conserved(old, program)
    with pytest.raises(ProgramError, match="units sent each other"):
        check_conserved(unit("a/cpu", sent_bytes=199)(old), program)


def test_totals_scale_with_time() -> None:
    found = seen().scaled(2.0).totals
    assert found == Totals(
        {"first": 10.0, "second": 20.0}, {"in": 80, "mid": 200, "out": 40}, {}, pytest.approx(23.08)
    )

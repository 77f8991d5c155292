"""Driving connected workers: emulated times, inputs at the door, losses."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, WorkError
from shoal.program import CLIENT, Hop, Item, Pace, Program, TensorSpec, Workload
from shoal.run.coordinator import Coordinator
from shoal.wire import Delivery, Endpoint
from shoal.wire.transports.memory import Memory
from shoal.worker import heard, say
from tests import toy
from tests.harness import answered, coordinating, stream, zeros
from tests.programs import Piece, chain, paced, program

A, B = "a/cpu", "b/cpu"


def test_two_emulated_boards_take_their_time_exactly(tmp_path: Path) -> None:
    """20 ms, 1000 bytes over 100 kB/s with 2 ms latency, 30 ms; into and out of the boards at once."""
    made = chain(A, B, floats=250)
    pace = Pace({"s0": 0.02, "s1": 0.03}, {f"s0>{B}": (Hop("wire", 100_000, 0.002),)})
    with coordinating(made, tmp_path, "memory", pace) as (coordinator, _):
        alone = answered(coordinator, Workload(2, window=1), zeros(made)).outcome.observed
        full = answered(coordinator, Workload(8, window=4), zeros(made)).outcome.observed
    assert [answer.answered_s - answer.arrived_s for answer in alone.answers] == pytest.approx(
        [0.062] * 2, abs=1e-12
    )
    times = [answer.answered_s for answer in full.answers]
    assert times == pytest.approx([0.062 + 0.03 * number for number in range(8)], abs=1e-12)
    assert [report.busy_s for report in full.units.values()] == pytest.approx([8 * 0.02, 8 * 0.03])
    assert not full.missed


def test_a_board_that_is_too_fast_for_this_machine_is_noticed(tmp_path: Path) -> None:
    toy.write(tmp_path)
    pace = Pace(dict.fromkeys(toy.PACE.segments_s, 1e-6), {})
    workload = Workload(20, pattern=(Item("sense"),))
    with coordinating(toy.program(), tmp_path, "memory", pace) as (coordinator, _):
        observed = answered(coordinator, workload, toy.inputs(workload)).outcome.observed
    assert observed.late_share is not None
    assert observed.late_share > 0.01
    assert observed.answers[-1].answered_s < 1e-3  # the boards' time stays theirs


def test_a_rate_counts_from_the_start_of_the_run_not_of_the_coordinator(tmp_path: Path) -> None:
    made = chain(A)
    with coordinating(made, tmp_path, "memory") as (coordinator, _):
        time.sleep(0.3)
        observed = answered(coordinator, Workload(5, "rate", rate_items_per_s=50), zeros(made)).outcome.observed
    assert [answer.arrived_s for answer in observed.answers] == [0.0, 0.02, 0.04, 0.06, 0.08]
    assert max(answer.answered_s - answer.arrived_s for answer in observed.answers) < 0.2
    assert observed.late_share is None


def test_emulated_arrivals_at_a_rate(tmp_path: Path) -> None:
    made = chain(A)
    with coordinating(made, tmp_path, "memory", paced(made, {"s0": 0.03})) as (coordinator, _):
        observed = answered(coordinator, Workload(4, "rate", rate_items_per_s=40), zeros(made)).outcome.observed
    assert [answer.answered_s for answer in observed.answers] == pytest.approx([0.03, 0.06, 0.09, 0.12], abs=1e-12)
    assert [answer.arrived_s for answer in observed.answers] == pytest.approx([0.0, 0.025, 0.05, 0.075])


def test_all_that_was_sent_is_received_before_a_run_is_told(tmp_path: Path) -> None:
    """Also what no answer depends on: messages of the toy's newest and previous edges."""
    toy.write(tmp_path)
    workload = toy.races(30)
    with coordinating(toy.program(), tmp_path, "memory") as (coordinator, _):
        for _ in range(3):
            found = answered(coordinator, workload, toy.inputs(workload))
            units = found.outcome.observed.units.values()
            came = sum(array.nbytes for outputs in found.outputs.values() for array in outputs.values())
            assert (
                sum(unit.sent_bytes for unit in units) + 30 * 16
                == sum(unit.received_bytes for unit in units) + came
            )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no input 'x' was given.*had none"),
        ({"y": np.zeros(4, np.float32)}, "no input 'x' was given.*had y"),
        ({"x": np.zeros(4)}, "'x' has the wrong type.*needed float32, had float64"),
        ({"x": np.zeros(5, np.float32)}, r"'x' has the wrong shape.*needed \[4\], had \[5\]"),
        ({"x": np.zeros((1, 4), np.float32)}, r"wrong shape.*had \[1, 4\]"),
    ],
)
def test_an_input_that_does_not_fit(given: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with (
        coordinating(chain(A), tmp_path, "memory") as (coordinator, _),
        pytest.raises(InputError, match=message),
    ):
        answered(coordinator, Workload(1), lambda _: given)


def test_a_size_with_a_name_may_be_smaller_than_its_bound(tmp_path: Path) -> None:
    spec = TensorSpec("float32", ("tokens",))
    made = chain(A)
    made = replace(
        made, edges=tuple(replace(edge, spec=spec) for edge in made.edges),
        tensors=dict.fromkeys(made.tensors, spec), sizes={"tokens": 10},
    )  # fmt: skip
    with coordinating(made, tmp_path, "memory") as (coordinator, _):
        found = answered(coordinator, Workload(1), lambda _: {"x": np.zeros(3, np.float32)})
        with pytest.raises(InputError, match=r"needed \[10\], had \[11\]"):
            answered(coordinator, Workload(1), lambda _: {"x": np.zeros(11, np.float32)})
    assert not found.outcome.failure


class Puppet:
    """A unit whose every word is the test's; it obeys "start" by itself."""

    def __init__(self, made: Program, unit: str) -> None:
        self.transport, self.unit = Memory(), unit
        self._thread = threading.Thread(target=self._live, args=(made,), daemon=True)
        self.words: list[dict[str, object]] = []
        self._thread.start()

    def client(self, made: Program) -> Endpoint:
        return self.transport.client(made, {self.unit: self.unit})

    def _live(self, made: Program) -> None:
        endpoint = self.transport.worker(self.unit, made, "", lambda _: None)
        while isinstance(came := endpoint.receive(5.0), Delivery):
            if came.header.control and heard(endpoint, came) != {"do": "stop"}:
                for word in self.words:
                    say(endpoint, word, CLIENT)
        endpoint.close()


STARTED = {"is": "started"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([STARTED], r"nothing was heard for 0.3 s; items in flight: 0, 1"),
        (
            [STARTED, {"is": "error", "kind": "LimitError", "message": "state 'kv' is full", "hint": None}],
            r"a/cpu is gone \(state 'kv' is full\); items in flight: 0, 1",
        ),
    ],
)
def test_a_unit_that_does_not_answer(words: list[dict[str, object]], message: str) -> None:
    made = chain(A)
    puppet = Puppet(made, A)
    puppet.words = words
    endpoint = puppet.client(made)
    coordinator = Coordinator(made, endpoint, patience_s=0.3)
    outcome = coordinator.run(stream(), Workload(5, window=2), zeros(made), lambda *_: None)
    assert re.fullmatch(message, outcome.failure)
    endpoint.close()


def test_a_unit_that_never_begins() -> None:
    made = chain(A)
    endpoint = Puppet(made, A).client(made)
    with pytest.raises(WorkError, match=r"no 'started' from a/cpu within 0\.2 s"):
        Coordinator(made, endpoint, patience_s=0.2).run(stream(), Workload(1), zeros(made), lambda *_: None)
    endpoint.close()


def test_a_unit_that_cannot_load_says_why() -> None:
    made = chain(A)
    puppet = Puppet(made, A)
    puppet.words = [
        {"is": "error", "kind": "ModelError", "message": "no kernel for 'Foo'", "hint": "another engine"}
    ]
    endpoint = puppet.client(made)
    with pytest.raises(WorkError, match="a/cpu: no kernel for 'Foo'") as caught:
        Coordinator(made, endpoint).run(stream(), Workload(1), zeros(made), lambda *_: None)
    assert caught.value.hint == "another engine"
    endpoint.close()


def test_a_gate_that_stops_everything_still_answers(tmp_path: Path) -> None:
    made = program([Piece("p", A, gate="stop"), Piece("q", B, ("p",)), Piece("r", A, ("q",))])
    with coordinating(made, tmp_path, "memory") as (coordinator, _):
        found = answered(coordinator, Workload(10), zeros(made))
    assert [answer.empty for answer in found.outcome.observed.answers] == [True] * 10
    assert found.outputs == {item: {} for item in range(10)}
    assert found.outcome.observed.units[A].sent_bytes == 0

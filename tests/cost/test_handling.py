"""The messages around segments, counted from Programs."""

from __future__ import annotations

from dataclasses import replace

from shoal.cost import Handling, Traffic, handling_of, traffic, way_of
from shoal.fleet import Fleet
from shoal.measure import handling_subject
from shoal.record import Sample
from tests.cost.toys import device
from tests.programs import Piece, chain, program

A, B, C = "a/cpu", "b/cpu", "c/cpu"
BYTES = 16  # of every value


def sample(name: str, median_s: float, engine: str = "shm") -> Sample:
    return Sample(handling_subject(name), "m", engine, "float32", 1, median_s, median_s, median_s, 3)


def test_a_chain_takes_one_message_in_and_sends_one() -> None:
    made = chain(A, B)
    assert traffic(made) == {segment.name: Traffic(1, 1, 0, 2 * BYTES) for segment in made.segments}


def test_what_two_read_is_copied_for_each() -> None:
    made = program([Piece("m", A), Piece("p", B, ("m",)), Piece("q", C, ("m",)), Piece("y", A, ("p", "q"))])
    assert traffic(made) == {
        "m": Traffic(1, 2, 2 * BYTES, 2 * BYTES),
        "p": Traffic(1, 1, 0, 2 * BYTES),
        "q": Traffic(1, 1, 0, 2 * BYTES),
        "y": Traffic(2, 1, 0, 3 * BYTES),
    }


def test_what_its_own_unit_reads_too_is_copied() -> None:
    made = program([Piece("m", A), Piece("p", B, ("m",)), Piece("y", A, ("m", "p"))])
    assert traffic(made)["m"] == Traffic(1, 1, BYTES, 2 * BYTES)
    assert traffic(made)["y"] == Traffic(1, 1, 0, 3 * BYTES)  # the other input was there


def test_a_gate_may_send_nothing_so_its_outputs_are_copied() -> None:
    made = program([Piece("m", A, gate="go"), Piece("y", B, ("m",))])
    assert traffic(made)["m"].copied_bytes == BYTES


def test_every_replica_counts() -> None:
    made = program([Piece("m", A), Piece("y", B, ("m",))])
    assert traffic(replace(made, routes=(*made.routes, *made.routes))) == traffic(made)


def test_constants_are_those_of_the_transport() -> None:
    samples = [sample("call_s", 1e-3), sample("send_s", 1e-4), sample("call_s", 5e-3, "shaped")]
    assert handling_of(samples, "shm") == Handling(call_s=1e-3, send_s=1e-4)
    assert handling_of(samples, "shaped") == Handling(call_s=5e-3)
    assert handling_of((), "shm").seconds(1.0, Traffic(9, 9, 9, 9)) == 0.0


def test_throttled_fleets_talk_over_imitated_links() -> None:
    one = device("a")
    assert way_of(Fleet((one,))) == "shm"
    assert way_of(Fleet((one, replace(one, name="b", speed=0.5)))) == "shaped"

"""What devices and coordinators tell each other: requests, replies, announcements, vitals, and what a hub answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.agent.crew import Crew
from shoal.agent.fleets import HubNote
from shoal.agent.joining import Enrolled, Enrolment, Hello, check_clock
from shoal.agent.orders import Orders
from shoal.agent.room import Room
from shoal.agent.shelf import Shelf
from shoal.agent.source import Source
from shoal.control import Announcement, Deploy, Deployed, Dismiss, Failed, Vitals, WorkerVitals
from shoal.control.judge import clock_note, judge
from shoal.control.messages import Verdict, pack_reply, pack_request, read, unpack_reply, unpack_request
from shoal.errors import WireError
from shoal.fleet import Device, Link, Unit
from tests.fuzz.mutations import fuzzed, mutated_json, survives


def _json(value: Any) -> Any:
    return json.loads(codec.encode(value))


DEVICE = Device(
    "pi", "a board", (Unit("cpu", 4, {"float32": 1e10}, 1e9, 1.0),), 1 << 32, 1 << 31, 2.0, cores=(0, 1)
)
ANNOUNCED = _json(Announcement(DEVICE, "192.0.2.7", "boot", Link("to the hub", (), 1e8, 1e-4), joined_s=1.5))
VITALS = _json(Vitals(1.7e9, 0.5, 1 << 30, 51.5, 1 << 34, (WorkerVitals("pi/cpu", "00" * 16, 0, 1 << 26, 3.5),)))
PARTS = {"program.json": ("a" * 64, 12), "manifest.json": ("b" * 64, 34), "0/segment.onnx": ("c" * 64, 5678)}
REQUESTS = [
    json.loads(pack_request(each))
    for each in (
        Deploy("pi/cpu", 0, PARTS, "https://192.0.2.1:7441", "c2lnbmF0dXJl", "-----BEGIN CERTIFICATE-----"),
        Dismiss("pi/cpu", 0, "00" * 16),
    )
]
REPLIES = [
    json.loads(pack_reply(each))
    for each in (Deployed("192.0.2.7:4711", 12), Failed("LimitError", "no memory", "another window"))
]
OTHERS = {
    Verdict: Verdict("refused", time_s=1.7e9),
    Hello: Hello("192.0.2.7", 1.7e9, "1.0", 1, 7442, ("a1",)),
    Enrolment: Enrolment("pi", "secret", "-----BEGIN CERTIFICATE REQUEST-----"),
    Enrolled: Enrolled("-----BEGIN CERTIFICATE-----"),
    HubNote: HubNote("tls/192.0.2.1:7442", "192.0.2.1:7441"),
}


@given(st.sampled_from(REQUESTS).flatmap(mutated_json))
@fuzzed(150)
def test_a_request_is_refused_in_words_or_read(data: bytes) -> None:
    request = survives(lambda: unpack_request(data, "the hub"), "the hub")
    assert request is None or isinstance(request, Deploy | Dismiss)


@given(st.sampled_from(REPLIES).flatmap(mutated_json))
@fuzzed(80)
def test_a_reply_is_refused_in_words_or_read(data: bytes) -> None:
    survives(lambda: unpack_reply(data, "pi"), "pi")


@given(mutated_json(ANNOUNCED))
@fuzzed(150)
def test_an_announcement_is_judged_whatever_it_is(data: bytes) -> None:
    """It never ends in an error: the reason stands beside the device."""
    found = survives(lambda: judge("pi", data))
    assert found is not None
    assert found.refused or (found.announcement and found.announcement.device.name == "pi")


@given(mutated_json(VITALS))
@fuzzed(80)
def test_vitals_are_refused_in_words_or_read(data: bytes) -> None:
    vitals = survives(lambda: read(Vitals, data, "pi"), "pi")
    if vitals is not None:
        survives(lambda: clock_note(vitals))


@given(st.sampled_from(sorted(OTHERS, key=str)), st.data())
@fuzzed(80)
def test_what_a_hub_says_is_refused_in_words_or_read(kind: type[Any], data: st.DataObject) -> None:
    text = data.draw(mutated_json(_json(OTHERS[kind])))
    survives(lambda: codec.decode(kind, text, "the hub"), "the hub")


@given(
    st.text(max_size=30)
    | st.sampled_from(("Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "0"))
)
@fuzzed(60)
def test_a_hub_may_say_any_time(date: str) -> None:
    survives(lambda: check_clock(date, "the hub"))


@dataclass(frozen=True)
class _Nowhere:
    """No hub: whoever asks it is refused, but only after what was asked was checked."""

    def __call__(self, address: str) -> Source:
        raise WireError("nobody is there", where=address[:40])


@given(mutated_json(REQUESTS[0]))
@fuzzed(80)
def test_an_order_is_checked_before_anything_is_fetched(tmp_path_factory: Any, data: bytes) -> None:
    request = survives(lambda: unpack_request(data, "the hub"), "the hub")
    if request is None:
        return
    folder, room = tmp_path_factory.getbasetemp(), Room("fuzz")
    try:
        crew = Crew("tcp", "127.0.0.1", 1 << 30)
        orders = Orders(DEVICE, Shelf(folder / "shelf"), room, crew, lambda _: None, _Nowhere())
        reply = survives(lambda: orders.answer(request))
        assert not isinstance(reply, Deployed)  # nobody has the files
    finally:
        room.close()

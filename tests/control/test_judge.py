from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.control import Vitals
from shoal.control.judge import clock_note, judge
from tests.control.worlds import announcement


def test_a_good_announcement_is_taken() -> None:
    judged = judge("nano", codec.encode(announcement("nano")))
    assert (judged.announcement, judged.refused, judged.notes) == (announcement("nano"), "", {})


def test_another_version_of_the_same_protocol_is_noted() -> None:
    judged = judge("nano", codec.encode(announcement("nano", version="7.1")))
    assert not judged.refused
    assert judged.notes["version"].startswith("shoal 7.1 there, ")


def test_another_protocol_is_refused_even_if_it_cannot_be_read() -> None:
    """A later protocol may announce quite other things."""
    judged = judge("nano", json.dumps({"version": "9.0", "protocol": 12, "boards": []}).encode())
    assert judged.announcement is None
    assert "nano speaks protocol 12 (shoal 9.0)" in judged.refused
    assert judged.refused.endswith("update shoal on the coordinator")


def test_what_cannot_be_read_is_refused() -> None:
    wrong = json.loads(codec.encode(announcement("nano")))
    wrong["device"]["memory_bytes"] = "much"
    judged = judge("nano", json.dumps(wrong).encode())
    assert "cannot be read" in judged.refused
    assert "memory_bytes" in judged.refused


@given(st.binary())
def test_nonsense_is_refused(data: bytes) -> None:
    assert judge("nano", data).refused


def test_clocks() -> None:
    now_s = 1_000_000.0
    assert clock_note(Vitals(now_s + 59, 0, 0), now_s) == ""
    assert clock_note(Vitals(now_s + 90, 0, 0), now_s) == "its clock is 90 s ahead of this one"
    assert clock_note(Vitals(now_s - 600, 0, 0), now_s) == "its clock is 10 minutes behind this one"
    assert clock_note(Vitals(now_s - 9000, 0, 0), now_s) == "its clock is 2.5 hours behind this one"

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.control import Deploy, Deployed, Dismiss, Done, Failed, Reply, Request
from shoal.control.messages import (
    MAX_BYTES,
    granted,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from shoal.errors import InputError, WireError

PARTS = st.dictionaries(st.text(), st.tuples(st.text(), st.integers(0, 1 << 60)), max_size=4)
EPOCH = st.integers(-(1 << 62), 1 << 62)
REQUESTS = st.one_of(
    st.builds(Deploy, st.text(), EPOCH, PARTS, st.text(), st.text(), st.text()),
    st.builds(Dismiss, st.text(), EPOCH, st.text()),
)
REPLIES = st.one_of(
    st.builds(Deployed, st.text(), EPOCH),
    st.just(Done()),
    st.builds(Failed, st.text(), st.text(), st.none() | st.text()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "value", "unit", "parts"]), inner),
    max_leaves=8,
)


@given(REQUESTS)
def test_requests_there_and_back(request: Request) -> None:
    assert unpack_request(pack_request(request), "nano") == request


@given(REPLIES)
def test_replies_there_and_back(reply: Reply) -> None:
    assert unpack_reply(pack_reply(reply), "nano") == reply


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_nonsense_is_refused(data: bytes) -> None:
    for read in (unpack_request, unpack_reply):
        with suppress(InputError):  # nothing else
            read(data, "nano")
            assert json.loads(data)["kind"] in {"done", "deployed", "failed", "deploy", "dismiss"}


def test_messages_say_what_they_are() -> None:
    packed = json.loads(pack_request(Dismiss("nano/cpu", 2, "abc")))
    assert packed == {"kind": "dismiss", "value": {"unit": "nano/cpu", "epoch": 2, "program_hash": "abc"}}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a Envelope"),
        (b'{"kind": "reboot", "value": {}}', "unknown kind 'reboot'"),
        (b'{"kind": "dismiss", "value": {"unit": 3}}', "not a Dismiss"),
        (b'{"kind": "dismiss"}', "not a Envelope"),
        (b"[" * 100_000, "not a Envelope"),
        (b" " * (MAX_BYTES + 1), "too large"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        unpack_request(data, "nano")


def test_too_large_is_not_sent() -> None:
    with pytest.raises(InputError, match="too large"):
        pack_request(Dismiss("nano/cpu", 2, "x" * MAX_BYTES))


def test_a_failure_is_raised() -> None:
    assert granted(Done(), "nano") == Done()
    with pytest.raises(WireError, match="nano: full") as caught:
        granted(Failed("LimitError", "full", "make room"), "nano")
    assert caught.value.hint == "make room"

"""Tokens: one device, one name, once, for a while."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError, WireError
from shoal.identity import Authority, Identity, invitation

Clock = Callable[[float], None]


def test_a_token_says_all_a_device_needs_and_the_authority_keeps_no_secret(fleet: Authority) -> None:
    token = invitation.invite(fleet, "nano", "desk:7000")
    found = invitation.read(f"  {token[:40]}\n{token[40:]} ")
    assert (found.fleet, found.name, found.address) == ("pond", "nano", "desk:7000")
    assert found.authority_sha256 == fleet.fingerprint
    assert len(found.secret) >= 32
    assert found.secret not in repr(found)
    for path in fleet.folder.rglob("*"):
        assert path.is_dir() or found.secret not in path.read_text() + path.name


def test_an_invitation_is_good_once(fleet: Authority) -> None:
    secret = invitation.read(invitation.invite(fleet, "nano", "desk:7000")).secret
    with pytest.raises(WireError, match="for another name"):
        invitation.redeem(fleet, secret, "pico")
    invitation.redeem(fleet, secret, "nano")
    with pytest.raises(WireError, match="used already"):
        invitation.redeem(fleet, secret, "nano")


def test_of_many_at_once_one_gets_it(fleet: Authority) -> None:
    secret = invitation.read(invitation.invite(fleet, "nano", "desk:7000")).secret
    won: list[int] = []

    def attempt(number: int) -> None:
        try:
            invitation.redeem(fleet, secret, "nano")
        except WireError:
            return
        won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_an_invitation_expires(fleet: Authority, clock: Clock) -> None:
    secret = invitation.read(invitation.invite(fleet, "nano", "desk:7000", minutes=30)).secret
    clock(0.6)
    with pytest.raises(WireError, match="has expired"):
        invitation.redeem(fleet, secret, "nano")


@pytest.mark.parametrize("secret", ["", "x", "ä" * 40, "\ud800", "../../authority"])
def test_an_unknown_secret_is_refused_and_not_quoted(fleet: Authority, secret: str) -> None:
    invitation.invite(fleet, "nano", "desk:7000")
    with pytest.raises(WireError, match="no such invitation") as caught:
        invitation.redeem(fleet, secret, "nano")
    assert not secret or secret not in str(caught.value).replace("expired", "").split(":")[0]


def test_a_name_that_is_taken_is_not_invited(fleet: Authority, party: Callable[..., Identity]) -> None:
    party("nano")
    with pytest.raises(InputError, match="somebody has a certificate"):
        invitation.invite(fleet, "nano", "desk:7000")
    fleet.revoke("nano")
    invitation.invite(fleet, "nano", "desk:7000")


def test_what_expired_long_ago_is_forgotten(fleet: Authority, clock: Clock) -> None:
    secret = invitation.read(invitation.invite(fleet, "nano", "desk:7000")).secret
    clock(24 * 9)
    invitation.invite(fleet, "pico", "desk:7000")
    with pytest.raises(WireError, match="no such"):
        invitation.redeem(fleet, secret, "nano")


def test_a_token_cut_short_is_refused(fleet: Authority) -> None:
    token = invitation.invite(fleet, "nano", "desk:7000")
    for end in range(len(token)):
        with pytest.raises(InputError, match="not an invitation") as caught:
            invitation.read(token[:end])
        assert token[8:20] not in str(caught.value)


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_whatever_is_no_token_is_refused(text: str) -> None:
    for token in (text, invitation.PREFIX + text):
        with pytest.raises(InputError):
            invitation.read(token)

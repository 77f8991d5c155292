"""Who gets through a TLS handshake, and as whom."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.errors import WireError
from shoal.identity import Authority, Identity, authority, check_peer, contexts, party_of

Make = Callable[..., Identity]


def shake(caller: ssl.SSLContext, called: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake in memory; raises what the one that refuses raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = caller.wrap_bio(down, up, server_hostname="whoever")
    two = called.wrap_bio(up, down, server_side=True)
    left = [one, two]
    for _ in range(10):
        for each in list(left):
            try:
                each.do_handshake()
                left.remove(each)
            except ssl.SSLWantReadError:
                continue
    assert not left
    return one, two


def test_both_know_each_other(party: Make) -> None:
    lead, board = party("desk", "coordinator"), party("nano")
    one, two = shake(contexts.client(lead), contexts.server(board))
    assert one.version() == "TLSv1.3"
    assert check_peer(lead, one) == party_of(one) == board.party
    assert check_peer(board, two) == lead.party
    der = two.getpeercert(binary_form=True)
    assert der is not None
    assert check_peer(board, der) == party_of(der) == lead.party


def test_a_revoked_party_is_refused(fleet: Authority, party: Make) -> None:
    lead, board = party("desk", "coordinator"), party("nano")
    one, two = shake(contexts.client(lead), contexts.server(board))
    fleet.revoke("nano")
    with pytest.raises(WireError, match="revoked"):
        check_peer(lead, one)
    with pytest.raises(WireError, match="revoked"):
        check_peer(lead, one.getpeercert(binary_form=True) or b"")
    assert check_peer(board, two) == lead.party


def test_another_authority_is_refused_on_both_sides(party: Make, tmp_path: Path) -> None:
    lead = party("desk", "coordinator")
    foreign = authority.create(tmp_path / "again", "pond").identity(tmp_path / "foreign", "nano", "device")
    for one, two in ((lead, foreign), (foreign, lead)):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(contexts.client(one), contexts.server(two))


def test_an_expired_certificate_is_refused(party: Make) -> None:
    lead, board = party("desk", "coordinator"), party("nano", valid_days=2 / 86400)
    time.sleep(3.1)  # both ends of its time are whole seconds
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(contexts.client(lead), contexts.server(board))


def test_who_has_no_certificate_gets_in_only_where_strangers_may(fleet: Authority, party: Make) -> None:
    lead = party("desk", "coordinator")
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        shake(contexts.newcomer(fleet.pem), contexts.server(lead))
    one, two = shake(contexts.newcomer(fleet.pem), contexts.server(lead, strangers=True))
    assert party_of(one) == lead.party
    with pytest.raises(WireError, match="no certificate"):
        party_of(two)


def test_an_older_tls_is_refused(party: Make) -> None:
    lead, board = party("desk", "coordinator"), party("nano")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.load_cert_chain(lead.paths.certificate, lead.paths.key)
    old.load_verify_locations(lead.paths.authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="protocol"):
        shake(old, contexts.server(board))


def test_what_is_no_certificate_is_nobody() -> None:
    with pytest.raises(WireError, match="not a certificate"):
        party_of(b"nonsense")

"""Signatures of coordinators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.errors import WireError
from shoal.identity import Authority, Identity, authority, read_revoked, signing

Make = Callable[..., Identity]
DATA = b'{"model.onnx": ["ab", 3]}'


def test_a_coordinator_signs_and_nobody_else(fleet: Authority, party: Make) -> None:
    lead, board = party("desk", "coordinator"), party("nano")
    pem = lead.paths.certificate.read_bytes()
    signature = signing.sign(lead, DATA)
    assert signing.verify(fleet.pem, pem, DATA, signature) == lead.party
    for data, text in (
        (DATA + b" ", signature),
        (DATA, signing.sign(board, DATA)),
        (DATA, ""),
        (DATA, "ä"),
        (DATA, "AA"),
    ):
        with pytest.raises(WireError, match="not over what came"):
            signing.verify(fleet.pem, pem, data, text)
    with pytest.raises(WireError, match="may not sign"):
        signing.verify(fleet.pem, board.paths.certificate.read_bytes(), DATA, signing.sign(board, DATA))


def test_a_foreign_expired_or_revoked_coordinator_does_not_count(
    fleet: Authority, party: Make, tmp_path: Path, clock: Callable[[float], None]
) -> None:
    lead = party("desk", "coordinator", valid_days=1)
    pem, signature = lead.paths.certificate.read_bytes(), signing.sign(lead, DATA)
    other = authority.create(tmp_path / "lake", "lake")
    with pytest.raises(WireError, match="another authority"):
        signing.verify(other.pem, pem, DATA, signature)
    with pytest.raises(WireError, match="not a certificate"):
        signing.verify(fleet.pem, b"nonsense", DATA, signature)
    with pytest.raises(WireError, match=r"may not sign|not one of a fleet"):
        signing.verify(fleet.pem, fleet.pem, DATA, signature)  # the authority is no coordinator
    fleet.revoke("desk")
    with pytest.raises(WireError, match="revoked"):
        signing.verify(fleet.pem, pem, DATA, signature, read_revoked(lead.paths.revoked))
    clock(30)
    with pytest.raises(WireError, match="expired"):
        signing.verify(fleet.pem, pem, DATA, signature)

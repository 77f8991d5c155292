"""Certificates, keys, requests, invitations, signatures and lists of what was revoked."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.identity import Authority, Identity, authority, invitation, load, request, signing
from shoal.identity.revoked import read_revoked
from tests.fuzz.mutations import damaged, fuzzed, mutated_json, survives
from tests.fuzz.test_words import words


@dataclass(frozen=True)
class Fleet:
    """A fleet with a coordinator, a device, and a token for another."""

    authority: Authority
    device: Identity
    coordinator: Identity
    token: str
    folder: Path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("identities")
    made = authority.create(folder / "pond", "pond")
    device = made.identity(folder / "pi", "pi", "device")
    coordinator = made.identity(folder / "lead", "lead", "coordinator")
    return Fleet(made, device, coordinator, invitation.invite(made, "nano", "192.0.2.1:7441"), folder)


def _copied(identity: Identity, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(identity.folder, folder)
    return folder


@given(st.data(), st.sampled_from(("certificate.pem", "key.pem", "authority.pem")))
@fuzzed(120)
def test_a_damaged_identity_is_refused_in_words(fleet: Fleet, data: st.DataObject, name: str) -> None:
    folder = _copied(fleet.device, fleet.folder / "broken")
    whole = (folder / name).read_bytes()
    broken = data.draw(damaged(whole, 2) | st.sampled_from((b"", b"\0" * 100_000, whole * 2, whole[::-1])))
    (folder / name).write_bytes(broken)
    found = survives(lambda: load(folder))
    assert found is None or found.party == fleet.device.party


def _pem(kind: str, der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (kind.encode(), body, kind.encode())


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.strip().splitlines()[1:-1]))


@given(st.data())
@fuzzed(120)
def test_a_certificate_with_damage_inside_is_refused_in_words(fleet: Fleet, data: st.DataObject) -> None:
    folder = _copied(fleet.device, fleet.folder / "broken")
    pem = (folder / "certificate.pem").read_bytes()
    broken = _pem("CERTIFICATE", data.draw(damaged(_der(pem), 1)))
    (folder / "certificate.pem").write_bytes(broken)
    survives(lambda: load(folder))
    survives(lambda: signing.verify(fleet.authority.pem, broken, b"data", "AAAA"))


@given(st.data())
@fuzzed(80)
def test_a_request_is_refused_in_words_or_answered(fleet: Fleet, data: st.DataObject) -> None:
    asked = request.make(fleet.folder / "asking", "nano")
    broken = data.draw(
        damaged(asked, 2) | damaged(_der(asked), 1).map(lambda der: _pem("CERTIFICATE REQUEST", der))
    )
    survives(lambda: fleet.authority.issue(broken, "nano", "device"))


@given(st.data())
@fuzzed(120)
def test_a_token_is_refused_in_words_or_read(fleet: Fleet, data: st.DataObject) -> None:
    body = fleet.token.removeprefix(invitation.PREFIX)
    inner = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    wrong = mutated_json(inner).map(
        lambda text: invitation.PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")
    )
    token = data.draw(wrong | damaged(fleet.token.encode()).map(lambda text: text.decode("latin1")) | words())
    found = survives(lambda: invitation.read(token))
    if found is not None:
        survives(lambda: invitation.redeem(fleet.authority, found.secret, f"{found.name}x"))


@given(st.data())
@fuzzed(100)
def test_a_signature_holds_over_what_was_signed_alone(fleet: Fleet, data: st.DataObject) -> None:
    good = signing.sign(fleet.coordinator, b"parts")
    given_text = data.draw(damaged(good.encode()).map(lambda text: text.decode("latin1")) | words())
    party = survives(
        lambda: signing.verify(
            fleet.authority.pem, fleet.coordinator.paths.certificate.read_bytes(), b"parts", given_text
        )
    )
    assert party is None or base64.b64decode(given_text) == base64.b64decode(good)


@given(mutated_json({"serials": ["a1", "b2"]}))
@fuzzed(60)
def test_a_list_of_revoked_ones_is_refused_in_words_or_read(fleet: Fleet, data: bytes) -> None:
    path = fleet.folder / "revoked.json"
    path.write_bytes(data)
    survives(lambda: read_revoked(path), "revoked.json")

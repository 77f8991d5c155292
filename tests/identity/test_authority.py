"""Certificates: given, loaded, refused, taken back."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal import identity
from shoal.errors import InputError, ShoalError, WireError
from shoal.identity import Authority, Identity, Party, authority, request

Make = Callable[..., Identity]
Clock = Callable[[float], None]


def test_an_identity_is_what_it_was_made_for(party: Make) -> None:
    made = party("nano", "device")
    assert made == identity.load(made.folder)
    assert made.party == Party("pond", "nano", "device")
    assert 824 < (made.not_after - made.not_before).days < 826
    assert stat.S_IMODE(made.paths.key.stat().st_mode) == 0o600


def test_a_device_keeps_its_key_and_gets_what_the_authority_says(fleet: Authority, tmp_path: Path) -> None:
    place = tmp_path / "board"
    asked = request.make(place, "nano")
    assert b"PRIVATE" not in asked
    issued = fleet.issue(asked, "pico", "device")  # whoever asks has no say in the name
    assert request.accept(place, issued, fleet.pem).party.name == "pico"
    assert request.make(place, "nano") != b""
    assert identity.load(place).party.name == "pico"


def test_an_answer_that_does_not_fit_leaves_nothing_behind(fleet: Authority, party: Make, tmp_path: Path) -> None:
    other = party("other")
    request.make(tmp_path / "board", "nano")
    with pytest.raises(InputError, match="does not belong"):
        request.accept(tmp_path / "board", other.paths.certificate.read_bytes(), fleet.pem)
    assert [path.name for path in (tmp_path / "board").iterdir()] == ["key.pem"]


def test_an_authority_is_opened_as_it_was_made_and_not_made_twice(fleet: Authority) -> None:
    assert authority.open(fleet.folder) == fleet
    with pytest.raises(InputError, match="already"):
        authority.create(fleet.folder, "pond")


def test_an_authority_without_its_key_is_refused(fleet: Authority, tmp_path: Path) -> None:
    other = authority.create(tmp_path / "lake", "lake")
    shutil.copy(other.folder / "authority.key", fleet.folder / "authority.key")
    with pytest.raises(InputError, match="does not belong"):
        authority.open(fleet.folder)
    (fleet.folder / "authority.key").unlink()
    with pytest.raises(InputError, match="cannot read"):
        authority.open(fleet.folder)


def test_expired_says_both_times(party: Make, clock: Clock) -> None:
    made = party("nano", valid_days=1)
    clock(25)
    with pytest.raises(InputError, match=r"has expired \(needed .* UTC or earlier, had .* UTC") as caught:
        identity.load(made.folder)
    assert "invite" in (caught.value.hint or "")


def test_a_clock_hours_behind_is_named(party: Make, clock: Clock) -> None:
    made = party("nano")
    clock(-5)
    with pytest.raises(InputError, match=r"not valid yet \(needed .* UTC or later, had .* UTC") as caught:
        identity.load(made.folder)
    assert "4.8 h behind" in (caught.value.hint or "")


def test_a_certificate_of_another_authority(party: Make, tmp_path: Path) -> None:
    made = party("nano")
    other = authority.create(tmp_path / "lake", "lake")
    made.paths.authority.write_bytes(other.pem)
    with pytest.raises(InputError, match=r"another authority \(needed authority of lake, had authority of pond"):
        identity.load(made.folder)


def test_an_authority_of_the_same_name_is_another_one(party: Make, tmp_path: Path) -> None:
    made = party("nano")
    made.paths.authority.write_bytes(authority.create(tmp_path / "again", "pond").pem)
    with pytest.raises(InputError, match="another authority"):
        identity.load(made.folder)


def test_a_key_of_somebody_else(party: Make) -> None:
    made, other = party("nano"), party("pico")
    shutil.copy(other.paths.key, made.paths.key)
    with pytest.raises(InputError, match="does not belong to the certificate"):
        identity.load(made.folder)


def test_a_key_others_can_read(party: Make) -> None:
    made = party("nano")
    made.paths.key.chmod(0o644)
    with pytest.raises(InputError, match="others can read"):
        identity.load(made.folder)


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem", "authority.pem"])
@pytest.mark.parametrize("data", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n", bytes(100_000)])
def test_a_missing_or_damaged_file_is_named_and_not_quoted(party: Make, name: str, data: bytes | None) -> None:
    path = party("nano").folder / name
    path.unlink()
    if data is not None:
        path.write_bytes(data)
        path.chmod(0o600)
    with pytest.raises(InputError, match=name) as caught:
        identity.load(path.parent)
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a..b", "a" * 64, "a/b", "ä", "10.0.0.1", "::1", "a_b", "a\n"])
def test_what_is_no_name_is_refused(fleet: Authority, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a name"):
        fleet.identity(tmp_path / "x", name, "device")
    with pytest.raises(InputError, match="not a name"):
        fleet.issue(request.make(tmp_path / "y", "fine"), name, "device")


def test_no_role_is_refused(fleet: Authority, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no role"):
        fleet.issue(request.make(tmp_path / "y", "fine"), "fine", "king")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", bytes(100_000)])
def test_what_is_no_request_is_refused(fleet: Authority, data: bytes) -> None:
    with pytest.raises(WireError, match="not a request"):
        fleet.issue(data, "nano", "device")


def test_two_devices_with_one_name(fleet: Authority, party: Make, tmp_path: Path) -> None:
    made = party("nano")
    with pytest.raises(InputError, match="another device has a certificate in that name"):
        fleet.issue(request.make(tmp_path / "second", "nano"), "nano", "device")
    with pytest.raises(InputError, match="in that name"):
        fleet.issue(request.make(made.folder, "nano"), "nano", "coordinator")
    fleet.issue(request.make(made.folder, "nano"), "nano", "device")  # the same key: renewed


def test_revoking_frees_the_name_and_reaches_identities_made_here(fleet: Authority, party: Make) -> None:
    lead, made = party("desk", "coordinator"), party("nano")
    (serial,) = fleet.revoke("nano")
    assert fleet.revoked() == identity.read_revoked(lead.paths.revoked) == {serial}
    assert fleet.holder("nano") is None
    with pytest.raises(InputError, match="nobody has"):
        fleet.revoke("nano")
    made.paths.key.unlink()
    assert party("nano").party == made.party
    assert identity.read_revoked(made.paths.revoked) == {serial}


def test_a_damaged_list_of_the_revoked_trusts_nobody(party: Make) -> None:
    made = party("nano")
    made.paths.revoked.write_text("{}]")
    with pytest.raises(InputError):
        identity.read_revoked(made.paths.revoked)


def test_no_secret_in_what_is_shown(fleet: Authority, party: Make) -> None:
    made = party("nano")
    secret = made.paths.key.read_text().splitlines()[1]
    assert secret not in repr(made) + repr(fleet) + str(made.party)


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["cryptography"] = None
from pathlib import Path
from shoal import identity
from shoal.errors import MissingExtra
for call in (lambda: identity.authority.create(Path(sys.argv[1]) / "a", "pond"),
             lambda: identity.request.make(Path(sys.argv[1]) / "b", "nano")):
    try:
        call()
    except MissingExtra as fault:
        assert "shoal[live]" in fault.hint
    else:
        raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_fleets_are_kept_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_FLEETS", str(tmp_path))
    assert identity.fleet_folder("pond") == tmp_path / "pond"
    with pytest.raises(ShoalError, match="not a fleet's name"):
        identity.fleet_folder("../pond")


def test_a_worker_loads_its_identity_without_the_library(party: Make) -> None:
    made = party("nano")
    code = """
import sys
from pathlib import Path
from shoal import identity
print(identity.load(Path(sys.argv[1])))
assert "cryptography" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(made.folder)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (repr(made), "")

"""Who gets what at a hub, and how much of it: strangers, other fleets, the revoked, the greedy and the slow."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shoal.agent import fleets, joining, way
from shoal.agent import hub as hubs
from shoal.agent.house import House
from shoal.agent.hub import Hub
from shoal.agent.joining import Enrolment
from shoal.agent.membership import enrol, member
from shoal.agent.patience import EACH, Patience
from shoal.errors import InputError, WireError, WorkError
from shoal.identity import Authority, Identity, contexts, invitation, load, request
from tests.agent import parties


def _get(hub: Hub, path: str, context: ssl.SSLContext, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("127.0.0.1", hub.port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """The hub says it on a thread of its own, perhaps after the caller has heard the refusal."""
    until_s = time.monotonic() + 10
    while words not in caplog.text:
        assert time.monotonic() < until_s, caplog.text
        time.sleep(0.01)


def _invite(fleet: Authority, hub: Hub, name: str = "nano", minutes: float = 60.0) -> str:
    return fleets.invite(fleet, name, minutes, f"127.0.0.1:{hub.port}")


def test_an_invited_device_gets_a_certificate_and_is_greeted(fleet: Authority, hub: Hub) -> None:
    folder = enrol(_invite(fleet, hub))
    found = member(folder)
    assert str(found.identity.party) == "device 'nano' of fleet 'drawer'"
    hello = joining.hello(way.known(found.home.address, found.identity))
    assert (hello.host, hello.control_port) == ("127.0.0.1", 1)
    assert abs(hello.time_s - time.time()) < 60
    measured = joining.link(way.known(found.home.address, found.identity))
    assert measured.bandwidth_bytes_per_s > 1e6
    assert 0 < measured.latency_s < 1


def test_a_token_is_good_once(fleet: Authority, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    token = _invite(fleet, hub)
    enrol(token)
    with pytest.raises(WireError, match="the hub refuses: nano: the invitation was used already"):
        enrol(token)
    assert "the invitation was used already" in caplog.text


def test_a_token_ends(fleet: Authority, hub: Hub) -> None:
    with pytest.raises(WireError, match="the hub refuses: nano: the invitation has expired"):
        enrol(_invite(fleet, hub, minutes=0.0))


def test_a_token_with_another_secret_is_refused_and_then_nobody_may_try(fleet: Authority, hub: Hub) -> None:
    invited = invitation.read(_invite(fleet, hub))
    asked = Enrolment("nano", "guessed", "not looked at")
    to = way.invited(f"https://{invited.address}", fleet.pem.decode(), fleet.fleet)
    for _ in range(EACH):
        with pytest.raises(WireError, match="there is no such invitation"):
            joining.enrol(to, asked)
    with pytest.raises(WireError, match="too many attempts failed"):
        joining.enrol(to, asked)


def test_the_secret_is_not_told_to_another_fleets_hub(
    fleet: Authority, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = fleets.create("other")
    with parties.opened(other, tmp_path / "o") as impostor:
        token = fleets.invite(fleet, "nano", 60.0, f"127.0.0.1:{impostor.port}")
        with pytest.raises(WireError, match="not the hub that the token is for"):
            enrol(token)
    assert "/enrol" not in caplog.text


def test_a_device_of_the_fleet_does_not_pass_for_its_hub(fleet: Authority, pi: Identity) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    to = way.invited(f"https://127.0.0.1:{listener.getsockname()[1]}", fleet.pem.decode(), fleet.fleet)
    heard = bytearray()

    def pose() -> None:
        plain, _ = listener.accept()
        with contexts.server(pi, strangers=True).wrap_socket(plain, server_side=True) as sock:
            try:
                heard.extend(sock.recv(1000))
            except OSError:
                return

    thread = threading.Thread(target=pose)
    thread.start()
    with pytest.raises(WireError, match=r"what answers is not the hub .*had device 'pi'"):
        joining.enrol(to, Enrolment("nano", "secret", ""))
    thread.join()
    listener.close()
    assert not heard


def test_a_clock_that_is_hours_off_is_said(
    fleet: Authority, hub: Hub, pi: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = _invite(fleet, hub)
    monkeypatch.setattr(joining, "time", SimpleNamespace(time=lambda: time.time() - 3 * 3600))
    with pytest.raises(WorkError, match=r"clock is 3.0 hours behind the hub's") as told:
        enrol(token)
    assert told.value.hint is not None
    with pytest.raises(WorkError, match=r"clock is 3.0 hours behind"):
        joining.hello(way.known(parties.address(hub), pi))


def test_strangers_get_the_authority_and_nothing_else(
    fleet: Authority, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts, paths = parties.files(tmp_path / "from", {"a": 1000})
    hub.offer(paths)
    context = way.unknown("https://x:1").context
    assert _get(hub, "/authority", context) == (200, fleet.pem)
    for path in (f"/parts/{parts['a'][0]}", "/hello", "/link", "/", "/etc/passwd", "/parts/../authority.key"):
        status, body = _get(hub, path, context)
        assert (status, body) == (403, b"a certificate of this fleet is needed")
    assert "refused a stranger at 127.0.0.1: 403" in caplog.text


def test_devices_get_files_by_hash_and_nothing_else(hub: Hub, pi: Identity, tmp_path: Path) -> None:
    parts, paths = parties.files(tmp_path / "from", {"a": 1000, "empty": 0})
    hub.offer(paths)
    (tmp_path / "offered" / "secret").write_text("x")
    context = contexts.client(pi)
    whole, path = parties.content("a", 1000), f"/parts/{parts['a'][0]}"
    assert _get(hub, path, context) == (200, whole)
    assert _get(hub, f"/parts/{parts['empty'][0]}", context) == (200, b"")
    assert _get(hub, path, context, Range="bytes=10-19") == (206, whole[10:20])
    assert _get(hub, path, context, Range="bytes=990-") == (206, whole[990:])
    assert _get(hub, path, context, Range="bytes=1000-")[0] == 416
    for other in ("/parts/secret", "/parts/../secret", f"{path}/..", "/parts/", f"/parts/{'0' * 64}"):
        assert _get(hub, other, context)[0] == 404


def test_other_fleets_and_the_revoked_are_refused(
    fleet: Authority, hub: Hub, pi: Identity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = parties.device(fleets.create("other"), "pi", tmp_path)
    with pytest.raises(WireError, match="not the hub of our fleet"):
        joining.hello(way.known(parties.address(hub), foreign))
    blind = way.unknown("https://x:1").context
    blind.load_cert_chain(foreign.paths.certificate, foreign.paths.key)
    with pytest.raises((OSError, http.client.HTTPException)):
        _get(hub, "/hello", blind)
    _logged(caplog, "its certificate is not of this fleet")
    to = way.known(parties.address(hub), pi)
    assert joining.hello(to).revoked == ()
    serials = fleet.revoke("pi")
    with pytest.raises(WireError, match="the hub refuses: pi: its certificate was revoked"):
        joining.hello(to)
    assert "refused a stranger at 127.0.0.1: 403 pi: its certificate was revoked" in caplog.text
    other = parties.device(fleet, "nano", tmp_path)
    assert joining.hello(way.known(parties.address(hub), other)).revoked == serials


def test_expired_certificates_are_refused_on_both_sides(
    fleet: Authority, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "late"
    given = fleet.issue(request.make(folder, "late"), "late", "device", valid_days=-1.0)
    (folder / "certificate.pem").write_bytes(given)
    (folder / "authority.pem").write_bytes(fleet.pem)
    with pytest.raises(InputError, match="the certificate has expired"):
        load(folder)
    blind = way.unknown("https://x:1").context
    blind.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with pytest.raises((OSError, http.client.HTTPException)):
        _get(hub, "/hello", blind)
    _logged(caplog, "certificate has expired")


def test_coordinators_fetch_nothing(fleet: Authority, hub: Hub) -> None:
    identity = load(fleet.folder / fleets.COORDINATOR)
    with pytest.raises(WireError, match="files are for devices"):
        joining.hello(way.known(parties.address(hub), identity))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /enrol HTTP/1.1\r\nContent-Length: 7\r\n\r\n\xff\xfe{}[]\x00",
        b"DELETE /parts HTTP/1.1\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET",
    ],
)
def test_nonsense_is_refused_and_the_hub_goes_on(hub: Hub, pi: Identity, said: bytes) -> None:
    context = way.unknown("https://x:1").context
    with context.wrap_socket(socket.create_connection(("127.0.0.1", hub.port), 10)) as sock:
        sock.sendall(said)
        sock.settimeout(2)
        try:
            answer = sock.recv(4096)
        except (TimeoutError, OSError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 2")
    joining.hello(way.known(parties.address(hub), pi))


def test_who_takes_too_long_is_shown_out_and_devices_are_not(
    fleet: Authority, pi: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "STRANGER_S", 0.3)
    with parties.opened(fleet, tmp_path / "offered") as hub:
        silent = socket.create_connection(("127.0.0.1", hub.port), 5)  # not even TLS
        stranger = way.unknown("https://x:1").context.wrap_socket(
            socket.create_connection(("127.0.0.1", hub.port), 5)
        )
        known = way.known(parties.address(hub), pi).connection(5)
        known.request("GET", "/hello")
        known.getresponse().read()
        for sock in (silent, stranger):
            with contextlib.suppress(OSError):
                assert sock.recv(1) == b""
            sock.close()
        known.request("GET", "/hello")  # on the same connection
        assert known.getresponse().read()
        known.close()


def test_only_so_many_connect_at_once(
    fleet: Authority, pi: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "CONNECTIONS", 3)
    monkeypatch.setattr(hubs, "STRANGER_S", 1.0)
    with parties.opened(fleet, tmp_path / "offered") as hub:
        held = [socket.create_connection(("127.0.0.1", hub.port), 5) for _ in range(3)]
        time.sleep(0.2)
        with pytest.raises(joining.Unreachable):
            joining.hello(way.known(parties.address(hub), pi))
        time.sleep(2.0)  # they are shown out
        assert joining.hello(way.known(parties.address(hub), pi)).host == "127.0.0.1"
        for sock in held:
            sock.close()


def test_patience_is_lost_and_comes_back() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])
    for second in range(EACH):
        assert patience.wait_s("a") == 0
        now[0] = float(second)
        patience.failed("a")
    assert patience.wait_s("a") == pytest.approx(56.0)
    assert patience.wait_s("b") == 0
    now[0] = 60.5
    assert patience.wait_s("a") == 0
    for attempt in range(100):
        patience.failed(f"host {attempt}")
    assert patience.wait_s("somebody else") > 0


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:70000", "192.0.2.1:0"])
def test_where_it_cannot_listen_is_said(fleet: Authority, tmp_path: Path, listen: str) -> None:
    with pytest.raises((InputError, WireError), match=r"not an address|cannot listen"):
        House(fleet, listen)

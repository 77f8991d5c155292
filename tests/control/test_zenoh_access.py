"""Who is let in, and what they may do there; tried with bare sessions of Zenoh that keep no rule themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shoal import codec
from shoal.control import Deployed, Dismiss, Done, Failed, Vitals, members, open_control, open_desk, open_hub
from shoal.control.messages import MAX_BYTES, pack_request, unpack_reply
from shoal.control.zenoh_config import address, client_config, close_session, hub_config, open_session, with_port
from shoal.control.zenoh_keys import Keys
from shoal.errors import InputError, WireError
from shoal.identity import Identity, Party, authority
from shoal.identity.values import Paths
from tests.control.worlds import Secure, announcement, present, within
from tests.store.ways import way

zenoh = pytest.importorskip("zenoh")

NANO = Keys("reef", "nano", "first")
DISMISS = Dismiss("nano/cpu", 3, "abc")


@pytest.fixture
def reef(tmp_path: Path) -> Iterator[Secure]:
    world = Secure(tmp_path)
    yield world
    world.close()


def bare(world: Secure, identity: Identity) -> Any:
    """A session with that certificate and no manners."""
    session = open_session(client_config(address(world.hub.address, True), identity, None), "test")
    world.opened.append(session)
    return session


def nano(world: Secure) -> Any:
    desk = world.desk("nano")
    desk.answer(lambda request: Deployed("nano:1"))
    desk.announce(announcement("nano"))
    return desk


def replies(session: Any, key: str, payload: bytes = b"") -> list[bytes]:
    return [each.ok.payload.to_bytes() for each in session.get(key, payload=payload, timeout=2) if each.ok]


def test_a_device_says_nothing_for_another(reef: Secure) -> None:
    nano(reef)
    before = reef.hub.sightings()["nano"]
    session = bare(reef, reef.identity("pi"))
    session.put(NANO.vitals, codec.encode(Vitals(time.time(), 0.9, 9)))
    session.put(NANO.announcement, codec.encode(announcement("nano", version="6")))
    token = session.liveliness().declare_token(Keys("reef", "tx2", "x").alive)
    stolen = session.declare_queryable(NANO.do, lambda query: query.reply(query.key_expr, b"mine"))
    assert reef.hub.ask("nano", DISMISS, 5) == Deployed("nano:1")
    time.sleep(0.3)
    assert reef.hub.sightings() == {"nano": before}
    del token, stolen


def test_a_device_hears_nothing_of_others(reef: Secure) -> None:
    desk = nano(reef)
    session = bare(reef, reef.identity("pi"))
    heard: list[Any] = []
    listening = [
        session.declare_subscriber("shoal/**", heard.append),
        session.liveliness().declare_subscriber("shoal/**", heard.append, history=True),
        session.declare_queryable("shoal/**", heard.append, allowed_origin=zenoh.Locality.REMOTE),
    ]
    desk.tell(Vitals(time.time(), 0.1, 1))
    assert reef.hub.ask("nano", DISMISS, 5) == Deployed("nano:1")
    assert replies(session, NANO.do, pack_request(DISMISS)) == []
    assert replies(session, NANO.announcement) == []
    assert [each for each in session.liveliness().get("shoal/**", timeout=2) if each.ok] == []
    assert heard == []
    assert within(5.0, lambda: reef.hub.sightings()["nano"].vitals)
    del listening


def test_a_stranger_of_the_same_fleet_is_not_heard(reef: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a certificate, but the hub was not told to admit it."""
    monkeypatch.setattr("shoal.control.zenoh_desk.WELCOME_S", 1.0)
    desk = reef.desk("late")
    with pytest.raises(WireError, match="the hub does not answer 'late'") as caught:
        desk.announce(announcement("late"))
    assert "invited" in str(caught.value.hint)
    assert not reef.hub.sightings()


def test_members_are_those_with_a_certificate(reef: Secure) -> None:
    reef.identity("nano")
    reef.identity("pi")
    reef.authority.revoke("pi")
    assert members(reef.authority) == {"boss": "coordinator", "nano": "device"}


def test_members_come_and_go_without_others_noticing(reef: Secure) -> None:
    told: list[Any] = []
    nano(reef)
    reef.hub.watch(told.append)
    late = reef.desk("late")
    reef.hub.admit({"late": "device"})
    late.answer(lambda request: Done())
    late.announce(announcement("late"))
    assert reef.hub.ask("late", DISMISS, 5) == Done()
    assert reef.hub.ask("nano", DISMISS, 5) == Deployed("nano:1")
    assert within(5.0, lambda: [(each.name, each.present) for each in told] == [("late", True)])
    reef.hub.exclude(["late"])
    assert within(5.0, lambda: not present(reef.hub, "late"))
    assert present(reef.hub, "nano")
    assert within(5.0, lambda: [(each.name, each.present) for each in told] == [("late", True), ("late", False)])


def test_devices_come_back_when_the_hub_does(reef: Secure) -> None:
    nano(reef)
    at, boss = reef.hub.address, reef.identity("boss", "coordinator")
    reef.hub.close()
    reef.hub = open_hub(boss, {"nano": "device"}, at)
    assert within(5.0, lambda: present(reef.hub, "nano"))
    assert reef.hub.sightings()["nano"].announcement == announcement("nano")
    assert reef.hub.ask("nano", DISMISS, 5) == Deployed("nano:1")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a Envelope"),
        (b"{", "not a Envelope"),
        (b"\xff\xfe", "not a Envelope"),
        (b'{"kind": "reboot", "value": {}}', "unknown kind"),
        (b'{"kind": "dismiss", "value": {"unit": 3}}', "not a Dismiss"),
        (b"[" * 500_000, "not a Envelope"),
        (b"x" * (MAX_BYTES + 1), "too large"),
    ],
)
def test_nonsense_never_reaches_the_handler(reef: Secure, data: bytes, why: str) -> None:
    desk = nano(reef)
    asked: list[Any] = []
    desk.answer(asked.append)
    session = bare(reef, reef.identity("eye", "coordinator"))
    (answer,) = replies(session, NANO.do, data)
    failed = unpack_reply(answer, "nano")
    assert isinstance(failed, Failed)
    assert why in failed.message
    assert asked == []


def test_what_a_device_says_is_not_trusted(reef: Secure, caplog: pytest.LogCaptureFixture) -> None:
    session = bare(reef, reef.identity("nano"))
    answers = [b"{", b"x" * (MAX_BYTES + 1), codec.encode(announcement("nano"))]
    saying = session.declare_queryable(NANO.announcement, lambda query: query.reply(query.key_expr, answers.pop(0)))
    doing = session.declare_queryable(NANO.do, lambda query: query.reply(query.key_expr, b"x" * (MAX_BYTES + 1)))
    for why in ("cannot be read", "does not say what it is", ""):
        token = session.liveliness().declare_token(NANO.alive)
        assert within(
            5.0, lambda why=why: present(reef.hub, "nano") and why in reef.hub.sightings()["nano"].refused
        )  # type: ignore[misc]
        if why:
            token.undeclare()
            assert within(5.0, lambda: not present(reef.hub, "nano"))
    with pytest.raises(WireError, match="too large"):
        reef.hub.ask("nano", DISMISS, 5)
    for said in (b"", b"{}", b"y" * (MAX_BYTES + 1), codec.encode(Vitals(time.time(), 0.5, 5))):
        session.put(NANO.vitals, said, congestion_control=zenoh.CongestionControl.BLOCK)
    assert within(5.0, lambda: reef.hub.sightings()["nano"].vitals)
    refused = [each.message for each in caplog.records if "refused vitals" in each.message]
    assert ["too large" in each for each in refused] == [False, False, True]
    del saying, doing, token


def test_an_announcement_waits_until_the_line_has_room(reef: Secure) -> None:
    """Vitals do not: the next ones will do."""
    to_hub = way(reef.hub.address.removeprefix("tls/"))
    with to_hub as line, closing(open_desk(reef.identity("nano"), line.address)) as desk:
        desk.answer(lambda request: Done())
        desk.announce(announcement("nano"))
        line.clear.clear()
        for _ in range(8):
            desk._session.put(NANO.vitals, b"y" * (8 * MAX_BYTES))
        threading.Timer(0.5, line.clear.set).start()
        desk.announce(announcement("nano", version="9"))
        assert within(5.0, lambda: reef.hub.sightings()["nano"].announcement == announcement("nano", version="9"))


def test_another_fleet_is_kept_out(reef: Secure, tmp_path: Path) -> None:
    """Of the same names even."""
    other = authority.create(tmp_path / "other", "reef")
    stranger = other.identity(tmp_path / "stranger", "nano", "device")
    with pytest.raises(WireError, match="the hub's certificate does not hold"):
        open_desk(stranger, reef.hub.address)
    codec.write_bytes(reef.authority.pem, stranger.paths.authority)  # it trusts our hub; our hub does not trust it
    with pytest.raises(WireError, match="the hub does not take the certificate of device 'nano'"):
        open_desk(stranger, reef.hub.address)
    with pytest.raises(WireError):
        bare(reef, stranger)


def test_an_expired_certificate_is_kept_out(reef: Secure, capfd: pytest.CaptureFixture[str]) -> None:
    short = reef.identity("pi", valid_days=1 / 86400)
    time.sleep(2.1)
    with pytest.raises(WireError, match=r"does not take the certificate of device 'pi' .*certificate expired"):
        open_desk(short, reef.hub.address)
    with pytest.raises(InputError, match="expired"):
        reef.identity("pi")
    assert within(5.0, lambda: "certificate expired" in capfd.readouterr().out)


def test_nothing_without_a_certificate(reef: Secure) -> None:
    at = address(reef.hub.address, True)
    for protocol in ("tcp", "tls"):
        config = client_config(address(f"tcp/127.0.0.1:{at.port}", False), None, None)
        config["connect"]["endpoints"] = [f"{protocol}/127.0.0.1:{at.port}"]
        config["transport"]["link"]["protocols"] = [protocol]
        with pytest.raises(WireError):
            open_session(config, "test")


def test_a_device_that_poses_as_the_hub_is_not_believed(reef: Secure) -> None:
    at = with_port(address("tls/127.0.0.1:0", True))
    session = open_session(hub_config(at, reef.identity("pi"), None), "test")
    try:
        with pytest.raises(WireError, match="'pi' answers, which is no coordinator"):
            open_desk(reef.identity("nano"), str(at))
    finally:
        close_session(session)


def test_a_device_that_takes_the_hubs_place_is_not_heard(reef: Secure) -> None:
    """It waits until the hub is gone, and then listens at its address."""
    desk = nano(reef)
    asked: list[Any] = []
    desk.answer(asked.append)
    at = address(reef.hub.address, True)
    reef.hub.close()
    session = open_session(hub_config(at, reef.identity("pi"), None), "test")
    try:
        assert within(5.0, session.info.links)
        time.sleep(0.3)
        assert replies(session, NANO.do, pack_request(DISMISS)) == []
        assert [each for each in session.liveliness().get("shoal/**", timeout=1) if each.ok] == []
        assert asked == []
    finally:
        close_session(session)


def test_roles_are_kept_apart(reef: Secure) -> None:
    eye = reef.identity("eye", "coordinator")
    with pytest.raises(WireError, match="for another role"):
        open_desk(eye, reef.hub.address)
    with pytest.raises(WireError, match="for another role"):
        open_control(reef.identity("nano"), reef.hub.address)
    with pytest.raises(WireError, match="for another role"):
        open_hub(reef.identity("nano"), {}, "tls/127.0.0.1:0")


def test_nobody_at_that_address(reef: Secure) -> None:
    free = with_port(address("tls/127.0.0.1:0", True))
    with pytest.raises(WireError, match="no hub answers: Connection refused") as caught:
        open_desk(reef.identity("nano"), str(free))
    assert "shoal fleet open" in str(caught.value.hint)
    with pytest.raises(WireError, match="cannot listen"):
        open_hub(reef.identity("boss", "coordinator"), {}, reef.hub.address)


def test_an_identity_that_lies_of_its_party(reef: Secure) -> None:
    """What counts is the certificate."""
    pi = reef.identity("pi")
    liar = Identity(pi.folder, Party("reef", "nano", "device"), Paths.of(pi.folder), pi.not_before, pi.not_after)
    session = bare(reef, liar)
    token = session.liveliness().declare_token(NANO.alive)
    time.sleep(0.3)
    assert not reef.hub.sightings()
    del token

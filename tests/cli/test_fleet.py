"""`shoal fleet` and `shoal join` at the door; what they do together is in tests/agent."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shoal.cli import presence
from shoal.control import Announcement, MemoryHub, Vitals, WorkerVitals
from shoal.fleet import board
from shoal.identity import invitation


@pytest.fixture(autouse=True)
def fleets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_FLEETS", str(tmp_path / "fleets"))
    monkeypatch.delenv("SHOAL_TOKEN", raising=False)
    return tmp_path / "fleets"


def test_init_invite_revoke(shoal: Any, fleets_folder: Path) -> None:
    made = shoal("fleet", "init", "--name", "drawer", "--json").json
    assert made["folder"] == str(fleets_folder / "drawer")
    assert "there is an authority already" in shoal("fleet", "init", "--name", "drawer").complaint
    assert "hub was never opened" in shoal("fleet", "invite", "pi").complaint
    token = shoal("fleet", "invite", "pi", "--at", "192.0.2.1:7446").out.strip()
    invited = invitation.read(token)
    assert (invited.fleet, invited.name, invited.address) == ("drawer", "pi", "192.0.2.1:7446")
    assert invited.authority_sha256 == made["authority_sha256"]
    assert "nobody has a valid certificate" in shoal("fleet", "revoke", "pi").complaint
    assert "nobody would be left" in shoal("fleet", "revoke", "coordinator").complaint


def test_what_is_missing_or_too_much_is_said(shoal: Any) -> None:
    assert "coordinates no fleet" in shoal("fleet", "--once").complaint
    assert "which device?" in shoal("fleet", "invite").complaint
    assert "'pi' is too much" in shoal("fleet", "open", "pi").complaint
    assert shoal("fleet", "explode").code == 2
    for name in ("one", "two"):
        assert shoal("fleet", "init", "--name", name).code == 0
    assert "several fleets (had one, two)" in shoal("fleet", "open").complaint
    assert "not an address" in shoal("fleet", "open", "--fleet", "one", "--listen", "here").complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("join",), "has not joined a fleet yet"),
        (("join", "shoal1-abc"), "not an invitation"),
        (("join", "--memory", "500"), "--memory"),
        (("join", "--name", "pi"), "has not joined as 'pi' yet"),
    ],
)
def test_joining_with_the_wrong_words(shoal: Any, arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in shoal(*arguments).err


def test_a_table_and_json_of_who_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    hub = MemoryHub()
    control = hub.control()
    presence.show(control.sightings())
    assert "nobody is there" in capsys.readouterr().out
    desks = {}
    for name, since_s in (("pi", 1000.0), ("[nano]", 0.0)):
        device = board("raspberry-pi-4b-4gb")
        desks[name] = hub.desk(name)
        desks[name].announce(Announcement(replace(device, name=name), "127.0.0.1", "1", joined_s=since_s))
    workers = (WorkerVitals("pi/cpu", "00", 0, 60 << 20, 1.0),)
    now_s = time.time()
    desks["pi"].announce(
        Announcement(replace(board("raspberry-pi-4b-4gb"), name="pi"), "127.0.0.1", "1", joined_s=now_s - 3 * 3600)
    )
    desks["pi"].tell(Vitals(now_s, 0.5, 1 << 30, 61.0, 1 << 30, workers))
    hub.cut("[nano]")
    presence.settle(control)
    presence.show(control.sightings())
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["device", "board", "there", "load", "memory", "temperature", "workers"]
    assert shown[1].split() == ["[nano]", "raspberry-pi-4b-4gb", "gone"]
    assert shown[2].split() == [
        "pi", "raspberry-pi-4b-4gb", "3", "h", "50%", "1", "GiB", "61", "°C", "1", "(60", "MiB)",
    ]  # fmt: skip
    first, second = presence.facts(control.sightings())
    assert (first["name"], first["present"], first["present_s"]) == ("[nano]", False, None)
    assert second["present_s"] == pytest.approx(3 * 3600, abs=5)
    assert second["units"] == ["pi/cpu"]

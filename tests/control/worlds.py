"""Fleets to try control planes on: a hub, and ways to have devices and coordinators there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoal.control import Announcement, Control, Desk, MemoryHub, ZenohHub, open_control, open_desk, open_hub
from shoal.fleet import Device, Unit
from shoal.identity import Identity, Role, authority

DEVICES = ("nano", "pi", "tx2")
MEMBERS: dict[str, Role] = {**dict.fromkeys(DEVICES, "device"), "eye": "coordinator"}


def device(name: str) -> Device:
    unit = Unit("cpu", 4, {"float32": 1e10}, 1e9, 4.0)
    return Device(name, "generic", (unit,), 4 << 30, 3 << 30, 2.0)


def announcement(name: str, boot: str = "first", **changes: Any) -> Announcement:
    return Announcement(device(name), "127.0.0.1", boot, **changes)


def within(seconds: float, true: Callable[[], object]) -> bool:
    """Whether `true` comes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def present(control: Control, name: str) -> bool:
    sighting = control.sightings().get(name)
    return sighting is not None and sighting.present


@dataclass
class World:
    """A fleet with a hub; what was opened in it is closed with it."""

    opened: list[Any] = field(default_factory=list)

    def close(self) -> None:
        for each in reversed(self.opened):
            each.close()


@dataclass
class InMemory(World):
    hub: MemoryHub = field(default_factory=MemoryHub)

    def desk(self, name: str) -> Desk:
        return self.hub.desk(name)

    def control(self) -> Control:
        return self.hub.control()


@dataclass
class Plain(World):
    """Over TCP on this machine, without certificates."""

    hub: ZenohHub = field(default_factory=lambda: open_hub(None, listen="tcp/127.0.0.1:0"))

    def desk(self, name: str) -> Desk:
        return self._kept(open_desk(None, self.hub.address, name))

    def control(self) -> Control:
        return self.hub

    def _kept(self, opened: Any) -> Any:
        self.opened.append(opened)
        return opened

    def close(self) -> None:
        super().close()
        self.hub.close()


class Secure(Plain):
    """Over TLS, with an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.authority = authority.create(folder / "authority", "reef")
        self.folder = folder
        super().__init__([], open_hub(self.identity("boss", "coordinator"), MEMBERS, "tls/127.0.0.1:0"))

    def identity(self, name: str, role: Any = "device", valid_days: float = 1.0) -> Identity:
        folder = self.folder / name
        if folder.exists():
            from shoal.identity import load

            return load(folder)
        return self.authority.identity(folder, name, role, valid_days)

    def desk(self, name: str) -> Desk:
        return self._kept(open_desk(self.identity(name), self.hub.address))


class Beside(Secure):
    """As seen by another coordinator than the hub."""

    def control(self) -> Control:
        return self._kept(open_control(self.identity("eye", "coordinator"), self.hub.address))

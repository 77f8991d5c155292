"""Whether a device that announces itself can be used: its name, its protocol, its clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import shoal
from shoal.control.messages import Stamp, read
from shoal.control.values import Announcement, Vitals
from shoal.errors import InputError
from shoal.program.values import PROTOCOL

CLOCK_OFF_S = 60.0


@dataclass(frozen=True)
class Judgement:
    """What was announced, if it can be read, why its device is not used, and what else is worth knowing."""

    announcement: Announcement | None
    refused: str = ""
    notes: dict[str, str] = field(default_factory=dict)


SILENT = Judgement(None, "it is there, but does not say what it is")


def judge(name: str, data: bytes) -> Judgement:
    """What is to be thought of the announcement `data` of the device that its certificate calls `name`."""
    try:
        stamp = read(Stamp, data, name)
    except InputError as fault:
        return Judgement(None, f"its announcement cannot be read: {fault.message}")
    try:
        announcement = read(Announcement, data, name)
    except InputError as fault:
        return Judgement(None, _protocol(name, stamp) or f"its announcement cannot be read: {fault.message}")
    return consider(name, announcement)


def consider(name: str, announcement: Announcement) -> Judgement:
    """What is to be thought of `announcement`, made by the device that its certificate calls `name`."""
    notes = {}
    if announcement.version != shoal.__version__:
        notes["version"] = f"shoal {announcement.version} there, {shoal.__version__} here"
    refused = _protocol(name, Stamp(announcement.version, announcement.protocol))
    if not refused and announcement.device.name != name:
        refused = f"announces itself as '{announcement.device.name[:80]}'; its certificate says '{name}'"
    return Judgement(announcement, refused, notes)


def clock_note(vitals: Vitals, now_s: float | None = None) -> str:
    """What to say of a device's clock; empty if it is right to a minute."""
    off_s = vitals.time_s - (time.time() if now_s is None else now_s)
    if abs(off_s) <= CLOCK_OFF_S:
        return ""
    return f"its clock is {in_words(abs(off_s))} {'ahead of' if off_s > 0 else 'behind'} this one"


def in_words(seconds: float) -> str:
    """A stretch of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def twice(name: str, host: str = "") -> str:
    """Why the second of two devices with one name is refused."""
    at = f" at {host}" if host else ""
    return f"another device is there under the name '{name}'{at}; each needs a certificate of its own"


def _protocol(name: str, stamp: Stamp) -> str:
    if stamp.protocol == PROTOCOL:
        return ""
    older = f"on {name}" if stamp.protocol < PROTOCOL else "on the coordinator"
    return (
        f"{name} speaks protocol {stamp.protocol} (shoal {stamp.version[:40]}), the coordinator {PROTOCOL} "
        f"(shoal {shoal.__version__}); update shoal {older}"
    )

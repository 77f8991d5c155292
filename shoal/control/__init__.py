"""The control plane of a living fleet: who is there, how they are, what they are asked to do. No tensors travel here."""

from __future__ import annotations

from shoal.control.contract import Control, Desk
from shoal.control.memory import MemoryHub
from shoal.control.values import (
    Announcement,
    Deploy,
    Deployed,
    Dismiss,
    Done,
    Failed,
    Reply,
    Request,
    Sighting,
    Vitals,
    WorkerVitals,
)
from shoal.control.zenoh_control import open_control
from shoal.control.zenoh_desk import open_desk
from shoal.control.zenoh_hub import ZenohHub, members, open_hub

__all__ = [
    "Announcement",
    "Control",
    "Deploy",
    "Deployed",
    "Desk",
    "Dismiss",
    "Done",
    "Failed",
    "MemoryHub",
    "Reply",
    "Request",
    "Sighting",
    "Vitals",
    "WorkerVitals",
    "ZenohHub",
    "members",
    "open_control",
    "open_desk",
    "open_hub",
]

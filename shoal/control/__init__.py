"""The control plane of a living fleet: who is there, how they are, and what they are asked to do.

Tensors never travel here; workers connect with each other directly.
"""

from __future__ import annotations

from shoal.control.contract import Control, Desk
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

__all__ = [
    "Announcement",
    "Control",
    "Deploy",
    "Deployed",
    "Desk",
    "Dismiss",
    "Done",
    "Failed",
    "Reply",
    "Request",
    "Sighting",
    "Vitals",
    "WorkerVitals",
]

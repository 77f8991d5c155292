"""A device in a process of its own: `python -m tests.control.holder FOLDER HUB BOOT` (or NAME, without a folder)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from shoal.control import Done, Vitals, open_desk
from shoal.identity import load
from tests.control.worlds import announcement


def main(who: str, hub: str, boot: str) -> None:
    identity = load(Path(who)) if "/" in who else None
    desk = open_desk(identity, hub, "" if identity else who)
    desk.answer(lambda request: Done())
    desk.announce(announcement(identity.party.name if identity else who, boot))
    while True:
        desk.tell(Vitals(time.time(), 0.0, psutil.Process().memory_info().rss))
        time.sleep(0.25)


if __name__ == "__main__":
    main(*sys.argv[1:])

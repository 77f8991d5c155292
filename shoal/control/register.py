"""Who was seen, who is there now, and who wants to hear of it: what every Control keeps.

A device may start anew, and two may hold one name: each start has a `boot`. The boot that came first holds the
name until it is gone.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from shoal.control.judge import Judgement, clock_note, twice
from shoal.control.values import Sighting, Vitals

LOG = logging.getLogger("shoal.control")


class Register:
    """All sightings of one session. Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._boots: dict[str, dict[str, None]] = {}  # by name, those that are there, in the order they came
        self._holders: dict[str, str] = {}
        self._unseen_s: dict[tuple[str, str], float] = {}  # since when one tells how it is without being there
        self._seen: dict[str, Sighting] = {}
        self._watchers: list[Callable[[Sighting], None]] = []
        self._news: queue.SimpleQueue[Sighting | None] = queue.SimpleQueue()
        self._notifier: threading.Thread | None = None
        self._lenient = False

    def came(self, name: str, boot: str) -> bool:
        """A device is there; whether that is new."""
        with self._changed:
            boots = self._boots.setdefault(name, {})
            new = boot not in boots
            boots[boot] = None
            self._unseen_s.pop((name, boot), None)
            self._changed.notify_all()
            return new

    def went(self, name: str, boot: str) -> None:
        """A device is not there any more."""
        with self._changed:
            self._boots.get(name, {}).pop(boot, None)
            if not self._lenient:
                self._settle(name)
            self._changed.notify_all()

    def nobody(self) -> None:
        """Everybody went."""
        with self._changed:
            self._boots.clear()

    def holder(self, name: str) -> str:
        """The boot that holds `name`."""
        with self._changed:
            return self._holders.get(name, "")

    def there(self, name: str, boot: str) -> bool:
        """Whether this start of the device is there now."""
        with self._changed:
            return boot in self._boots.get(name, ())

    def claim(self, name: str, boot: str, patience_s: float) -> bool:
        """Whether this start of the device holds its name, now or when who holds it is gone within `patience_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._hold(name, boot), patience_s)

    def judged(self, name: str, boot: str, judgement: Judgement) -> None:
        """What a device that came is, and whether it may be used."""
        with self._changed:
            if self._holders.get(name) != boot or boot not in self._boots.get(name, ()):
                return
            old = self._seen.get(name)
            since_s = old.since_s if old and old.present else time.monotonic()
            vitals = old.vitals if old else None
            self._tell(
                Sighting(name, True, since_s, judgement.announcement, vitals, judgement.refused, judgement.notes)
            )

    def told(self, name: str, boot: str, vitals: Vitals) -> None:
        """How a device is; nobody is called for that."""
        with self._changed:
            old = self._seen.get(name)
            if old is None or self._holders.get(name) != boot:
                return
            notes = {what: text for what, text in old.notes.items() if what != "clock"}
            clock = clock_note(vitals)
            if clock and "clock" not in old.notes:
                LOG.warning("%s: %s", name, clock)
            self._seen[name] = replace(old, vitals=vitals, notes=notes | ({"clock": clock} if clock else {}))

    def unseen(self, name: str, boot: str, patience_s: float) -> bool:
        """Whether a start of a device that tells how it is has not been there for so long; then that begins anew."""
        with self._changed:
            if self._boots.get(name):
                self._unseen_s.pop((name, boot), None)
                return False
            now_s = time.monotonic()
            since_s = self._unseen_s.setdefault((name, boot), now_s)
            if now_s - since_s < patience_s:
                return False
            self._unseen_s = {(name, boot): now_s}
            return True

    def second(self, name: str) -> str:
        """Note that a second device came under `name`; what to tell it."""
        with self._changed:
            old = self._seen.get(name) or Sighting(name, True, time.monotonic())
            text = twice(name, old.announcement.host if old.announcement else "")
            self._tell(replace(old, notes={**old.notes, "second": "a second device came under this name: refused"}))
        LOG.warning("%s: refused a second device: %s", name, text)
        return text

    def be_lenient(self) -> None:
        """Let nobody count as gone until `be_strict`: the hub itself is away for a moment."""
        with self._changed:
            self._lenient = True

    def be_strict(self, patience_s: float) -> None:
        """Count those as gone who are not there; wait for that until all came back or `patience_s` passed."""
        with self._changed:
            self._changed.wait_for(lambda: all(self._boots.get(name) for name in self._present()), patience_s)
            self._lenient = False
            for name in self._present():
                self._settle(name)

    def sightings(self) -> Mapping[str, Sighting]:
        """All that were seen, by name."""
        with self._changed:
            return dict(self._seen)

    def watch(self, changed: Callable[[Sighting], None]) -> None:
        """Call `changed` with every change from now on, one at a time, from one thread."""
        with self._changed:
            self._watchers.append(changed)
            if self._notifier is None:
                self._notifier = threading.Thread(target=self._notify, name="sightings", daemon=True)
                self._notifier.start()

    def close(self) -> None:
        """Call nobody any more."""
        with self._changed:
            self._watchers.clear()
            self._news.put(None)

    def _present(self) -> list[str]:
        return [name for name, sighting in self._seen.items() if sighting.present]

    def _hold(self, name: str, boot: str) -> bool:
        there = self._boots.get(name, {})
        if boot in there and self._holders.get(name) not in there:
            self._holders[name] = boot
        return self._holders.get(name) == boot

    def _settle(self, name: str) -> None:
        """Count a device as gone whose holder is; a lock is held."""
        sighting = self._seen.get(name)
        if sighting and sighting.present and self._holders.get(name) not in self._boots.get(name, {}):
            self._tell(replace(sighting, present=False, since_s=time.monotonic()))

    def _tell(self, sighting: Sighting) -> None:
        if self._seen.get(sighting.name) != sighting:
            self._seen[sighting.name] = sighting
            if self._watchers:
                self._news.put(sighting)

    def _notify(self) -> None:
        while (sighting := self._news.get()) is not None:
            for watcher in tuple(self._watchers):
                try:
                    watcher(sighting)
                except Exception:  # the fault of one watcher must not keep the news from the others
                    LOG.exception("a watcher of sightings failed")

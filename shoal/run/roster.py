"""The crews of a coordinator's epochs: those that are there, that are coming, and that are leaving.

A crew is prepared, and let go, on a thread of its own, so that the one that serves goes on meanwhile; it is handed
over whole, and never used by two threads at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TypeVar

from shoal.errors import ShoalError
from shoal.program import Ready, Unready
from shoal.run.crew import Crew, Reports

LOG = logging.getLogger("shoal.run")
Origin = Mapping[str, float | str]
Given = TypeVar("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Standby:
    """How the workers of an epoch are had.

    `prepare_s`: a stated time instead of the real one. The workers are then started before the run, and the driver
    is told that they are ready so many seconds of the run's time after it asked.
    """

    open: Callable[[], AbstractContextManager[Crew]]
    prepare_s: float | None = None


@dataclass(frozen=True)
class _Member:
    crew: Crew
    resources: ExitStack
    took_s: float = 0.0
    called: bool = True  # by the roster


class Roster:
    """Which epochs have workers."""

    def __init__(self, crew: Crew, standbys: Mapping[int, Standby], resources: ExitStack | None = None) -> None:
        """`crew` is there already; `standbys` can be had, its own epoch too.

        `resources` are the crew's, to be closed when it goes; without them whoever made it closes it.
        """
        self.notes: list[str] = []  # what went wrong without ending the run
        self._standbys = dict(standbys)
        first = _Member(crew, resources or ExitStack(), called=resources is not None)
        self._members = {crew.program.epoch: first}
        self._pool = ThreadPoolExecutor(thread_name_prefix="shoal-epoch")
        self._coming: dict[int, Future[_Member]] = {}
        self._leaving: list[tuple[Crew, Future[Reports]]] = []
        self._begun: tuple[Origin, float, bool] | None = None

    @property
    def known(self) -> tuple[int, ...]:
        """The epochs whose workers are there or can be had."""
        return tuple(sorted({*self._members, *self._standbys}))

    def add(self, epoch: int, standby: Standby) -> None:
        """One more epoch whose workers can be had."""
        self._standbys[epoch] = standby

    def abandon(self, epoch: int) -> None:
        """Let go of whoever is there of `epoch`, or is coming, without waiting for them."""
        member = self._members.pop(epoch, None)
        if member is not None:
            self._pool.submit(_release, member)
        coming = self._coming.pop(epoch, None)
        if coming is not None and not coming.cancel():
            self._pool.submit(_close, coming)

    @property
    def crews(self) -> Mapping[int, Crew]:
        """The crews that are there, by epoch."""
        return {epoch: member.crew for epoch, member in self._members.items()}

    def crew(self, epoch: int) -> Crew:
        """The crew of `epoch`, which is there."""
        return self._members[epoch].crew

    @property
    def busy(self) -> bool:
        """Whether a crew is coming."""
        return bool(self._coming)

    def stated_s(self, epoch: int) -> float | None:
        """The stated time that preparing `epoch` takes; None: as long as it really takes."""
        standby = self._standbys.get(epoch)
        return standby.prepare_s if standby else 0.0

    def begin(self, first: int, origin: Origin, stretch: float, *, record: bool = True) -> None:
        """Begin a run: the crew of `first` and those with stated times are there, and all count from here.

        Without `record` workers keep no spans and facts.

        Raises:
            WorkError: a worker of one of those does not start or begin.
        """
        self.left()
        for epoch in list(self._coming):
            self._arrive(epoch)
        self.notes, self._begun = [], None
        stated = {epoch for epoch, standby in self._standbys.items() if standby.prepare_s is not None}
        for epoch in sorted({first, *stated} - set(self._members)):
            self._members[epoch] = self._open(epoch)
        self._begun = origin, stretch, record
        for member in self._members.values():
            member.crew.begin(origin, stretch, record=record)

    def background(self, work: Callable[[Given], Result], given: Given) -> Future[Result]:
        """Have something done beside the run."""
        return self._pool.submit(work, given)

    def prepare(self, epoch: int) -> None:
        """Have the crew of `epoch` come."""
        self._coming[epoch] = self._pool.submit(self._open, epoch)

    def arrived(self) -> list[Ready | Unready]:
        """What became of the crews that were to come, of those whose preparation has ended since."""
        return [self._arrive(epoch) for epoch, future in list(self._coming.items()) if future.done()]

    def retire(self, epoch: int) -> None:
        """Let a crew go that has nothing left to do; its reports are kept for `left`, if the run is recorded."""
        member = self._members[epoch]
        if self.stated_s(epoch) is None:
            del self._members[epoch]
            leaving = self._pool.submit(_leave if self._records else _dismiss, member)
            if self._records:
                self._leaving.append((member.crew, leaving))

    def drop(self, epoch: int, why: str) -> Unready:
        """Let a crew go of which a worker is gone."""
        self.abandon(epoch)
        return self._unready(epoch, why)

    def left(self) -> list[tuple[Crew, Reports]]:
        """The crews that were retired since the last call, with what they reported."""
        found = []
        for crew, future in self._leaving:
            try:
                found.append((crew, future.result()))
            except ShoalError as fault:
                self.notes.append(f"the workers of epoch {crew.program.epoch} left no report: {fault.message}")
        self._leaving.clear()
        return found

    def close(self) -> None:
        """Let everyone go whom the roster called; waits for those who are just coming."""
        for epoch in list(self._coming):
            self._arrive(epoch)
        self.left()
        for member in self._members.values():
            if member.called:
                member.crew.stop()
            member.resources.close()
        self._members.clear()
        self._pool.shutdown()

    def _open(self, epoch: int) -> _Member:
        begun_s = time.monotonic()
        with ExitStack() as stack:
            crew = stack.enter_context(self._standbys[epoch].open())
            if self._begun is not None:
                origin, stretch, record = self._begun
                crew.begin(origin, stretch, record=record)
            return _Member(crew, stack.pop_all(), time.monotonic() - begun_s)

    def _arrive(self, epoch: int) -> Ready | Unready:
        try:
            member = self._coming.pop(epoch).result()
        except ShoalError as fault:
            return self._unready(epoch, fault.message)
        self._members[epoch] = member
        return Ready(epoch, member.crew.program, member.took_s)

    @property
    def _records(self) -> bool:
        """Whether what happens is kept for the end; a run without an end would keep ever more."""
        return self._begun is None or self._begun[2]

    def _unready(self, epoch: int, why: str) -> Unready:
        if self._records:
            self.notes.append(f"epoch {epoch} was not to be had: {why}")
        return Unready(epoch, why)


def _close(coming: Future[_Member]) -> None:
    """Close a crew once it is there; one that did not start has closed itself."""
    if coming.exception() is None:
        _release(coming.result())


def _release(member: _Member) -> None:
    """Let go of workers that nobody waits for: what goes wrong with that is for the log."""
    try:
        member.resources.close()
    except (ShoalError, OSError):
        LOG.warning("the workers of epoch %d were not let go", member.crew.program.epoch, exc_info=True)


def _dismiss(member: _Member) -> Reports:
    """Let go of workers whose reports nobody wants."""
    member.crew.stop()
    _release(member)
    return {}


def _leave(member: _Member) -> Reports:
    try:
        reports = member.crew.reports()
        member.crew.stop()
        return reports
    finally:
        member.resources.close()

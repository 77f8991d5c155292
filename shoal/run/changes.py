"""What changes around the items of a run: epochs that come and go, and what the driver is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future

from shoal.program import Event, Found, Lost, Retire, Turns, Unready
from shoal.run.crew import Crew
from shoal.run.flight import Flight
from shoal.run.roster import Roster
from shoal.run.upkeep import Sought, Upkeep
from shoal.wire import Delivery, Left
from shoal.worker import Clock

LOOK_S = 0.5  # how often dead workers are looked for

Put = Callable[[Crew, Delivery | Left | None], tuple[str, str] | None]  # takes it in; a worker that failed, and why


class Changes:
    """The epochs of one run."""

    def __init__(self, roster: Roster, turns: Turns[Flight], clock: Clock, upkeep: Upkeep, put: Put) -> None:
        self._roster, self._turns, self._clock, self._upkeep, self._put = roster, turns, clock, upkeep, put
        self._retiring: set[int] = set()
        self._seeking: list[Future[Sought]] = []
        self._looked_s = clock.now_s()  # when crews with nothing to do were looked at
        self.abandoned: set[int] = set()  # epochs of which answers may still be under way here

    @property
    def busy(self) -> bool:
        """Whether something is being prepared or sought."""
        return self._roster.busy or bool(self._seeking)

    def prepare(self, epoch: int) -> float | None:
        """Have the workers of `epoch` come; the stated seconds after which they count as ready, if there are such."""
        if not self._turns.ask(epoch):
            return None
        stated_s = self._roster.stated_s(epoch)
        if epoch in self._retiring or stated_s == 0:
            self._retiring.discard(epoch)
            self._turns.prepared(epoch, 0.0)
            return None
        if stated_s is None:
            self._roster.prepare(epoch)
        return stated_s

    def retire(self, command: Retire) -> None:
        """Let the workers of an epoch go as soon as nothing is in flight there."""
        self._turns.retire(command)
        self._retiring.add(command.epoch)
        self.let_go(command.epoch)

    def let_go(self, epoch: int) -> None:
        """Let the workers of `epoch` go if they are to, and have nothing left to do."""
        if epoch in self._retiring and self._turns.idle(epoch):
            self._retiring.discard(epoch)
            self._roster.retire(epoch)

    def abandon(self, epoch: int) -> list[Flight]:
        """Give up what is in flight in `epoch`, and its workers; what may go out now that waited for it."""
        self.abandoned.add(epoch)
        self._turns.lost(epoch)
        self._retiring.discard(epoch)
        self._roster.abandon(epoch)
        return self._turns.abandon(epoch)

    def seek(self, devices: frozenset[str]) -> None:
        """Have a plan found for `devices`."""
        self._seeking.append(self._roster.background(self._upkeep.seek, devices))

    def news(self) -> Iterator[Event]:
        """What the driver does not see by itself, since the last call."""
        yield from self._comings()
        yield from self._silent()
        now_s = self._clock.now_s()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            yield from self._losses()
        while (event := self._upkeep.requests.take()) is not None:
            yield event

    def _comings(self) -> Iterator[Event]:
        for event in self._roster.arrived() if self._roster.busy else ():
            if isinstance(event, Unready):
                self._turns.lost(event.epoch)
            yield event
        for future in [future for future in self._seeking if future.done()]:
            self._seeking.remove(future)
            sought = future.result()
            if isinstance(sought.event, Found) and sought.standby is not None:
                self._roster.add(sought.event.epoch, sought.standby)
                self._turns.add(sought.event.epoch)
            yield sought.event

    def _silent(self) -> Iterator[Event]:
        """Workers that do not answer any more."""
        pulse = self._upkeep.pulse
        for epoch, unit in pulse.beat(self._roster.crews) if pulse else ():
            why = f"no sign of life for {pulse.patience_s:g} s" if pulse else ""
            if epoch in self._turns.open_epochs:
                self._turns.lost(epoch)
                yield Lost(unit, why, epoch)
            elif epoch in self._roster.crews:
                yield self._dropped(epoch, unit, why)

    def _losses(self) -> Iterator[Event]:
        """Workers that were lost in epochs with nothing in flight, where nobody listens."""
        for epoch in set(self._roster.crews) - set(self._turns.open_epochs):
            crew = self._roster.crews.get(epoch)  # the driver may have let it go meanwhile
            while crew is not None:
                came = crew.endpoint.receive(0.0)
                lost = self._put(crew, came) or crew.why(came)
                if lost is not None:
                    yield self._dropped(epoch, *lost)
                if lost is not None or came is None:
                    break

    def _dropped(self, epoch: int, unit: str, why: str) -> Unready:
        self._turns.lost(epoch)
        return self._roster.drop(epoch, f"{unit} is gone ({why})")

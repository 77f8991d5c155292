"""Several Programs in one run, an *epoch* each: which one items start in, and in what order their answers go out.

The items between one switch and the next are a *turn*. A turn ends in the epoch it began in, and its answers go out
before those of any later turn, so that no answer overtakes a switch. The coordinator and the simulator both keep
their turns here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from shoal.errors import InputError, WorkError
from shoal.program.driver import Retire, SwitchEpoch
from shoal.program.pace import Pace
from shoal.program.values import Program
from shoal.record import Fact

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Epoch:
    """A program that items may be switched to, on the machines its pace describes.

    `prepare_s`: how long its workers take to be there once they are asked for, while others go on serving. It is
    stated, not found by simulating: loading weights and warming engines depend on more than the program.
    """

    program: Program
    pace: Pace
    prepare_s: float = 0.0
    period_s: float = inf  # predicted, by which a Seek chooses among the epochs


@dataclass(frozen=True)
class Switch:
    """Items from `item` on began in `epoch`; items waited `drain_s` for it."""

    item: int
    epoch: int
    drain_s: float


@dataclass(eq=False)
class Turn(Generic[Thing]):
    """The items between two switches."""

    epoch: int
    in_flight: int = 0
    held: list[Thing] = field(default_factory=list)  # done, while an earlier turn is not


class Turns(Generic[Thing]):
    """The turns of one run, and what is remembered of them."""

    def __init__(self, known: Collection[int], first: int) -> None:
        """Items start in the epoch `first`; any of the `known` ones can be prepared."""
        self._known, self._ready = frozenset(known), {first}
        self._used, self._awaited = {first: None}, set[int]()
        self._turns = deque([Turn[Thing](first)])
        self._waited_s: float | None = None  # for a switch after which nothing has started yet
        self._last_item = -1
        self._halted = False  # the epoch in which items started was abandoned; the next one is not said yet
        self.facts: list[Fact] = []

    @property
    def epoch(self) -> int:
        """The epoch in which items start now."""
        return self._turns[-1].epoch

    @property
    def open_epochs(self) -> tuple[int, ...]:
        """The epochs that have items in flight, or in which they start; the oldest turn's first."""
        if len(self._turns) == 1:  # asked for every message
            return (self._turns[0].epoch,)
        return tuple(dict.fromkeys(turn.epoch for turn in self._turns))

    @property
    def used(self) -> tuple[int, ...]:
        """The first epoch and those that were prepared."""
        return tuple(self._used)

    def check(self, epoch: int) -> None:
        """Refuse an epoch that does not exist.

        Raises:
            InputError: naming those that do.
        """
        if epoch not in self._known:
            known = ", ".join(map(str, sorted(self._known)))
            raise InputError(f"the driver asks for epoch {epoch}, and there is none", needed=f"one of {known}")

    def is_ready(self, epoch: int) -> bool:
        """Whether items may be switched to `epoch`."""
        return epoch in self._ready

    def ask(self, epoch: int) -> bool:
        """Whether `epoch`, which the driver asks for, is to be prepared now: not if it is ready or soon will be.

        Raises:
            InputError: there is no such epoch.
        """
        self.check(epoch)
        if epoch in self._ready | self._awaited:
            return False
        self._awaited.add(epoch)
        return True

    def idle(self, epoch: int) -> bool:
        """Whether `epoch` has nothing in flight."""
        return not any(turn.in_flight for turn in self._turns if turn.epoch == epoch)

    def prepared(self, epoch: int, took_s: float) -> None:
        """`epoch` can be switched to from now on."""
        self._awaited.discard(epoch)
        self._ready.add(epoch)
        self._used[epoch] = None
        self.facts.append(Fact(self._last_item, f"epoch {epoch}", "prepare_s", took_s))

    def add(self, epoch: int) -> None:
        """There is one more epoch that can be prepared."""
        self._known |= {epoch}

    def lost(self, epoch: int) -> None:
        """`epoch` cannot be switched to, or not any more."""
        self._awaited.discard(epoch)
        self._ready.discard(epoch)

    def abandon(self, epoch: int) -> list[Thing]:
        """Nothing that is in flight in `epoch` will end there; returns the things that may go out now.

        What was done there and held begins again like the rest: nobody was told of it.
        """
        for turn in self._turns:
            if turn.epoch == epoch:
                turn.in_flight = 0
                turn.held = []
        self._halted |= epoch == self.epoch
        return self._shed()

    def switch(self, command: SwitchEpoch, now_s: float) -> None:
        """Begin a turn in another epoch.

        Raises:
            InputError: there is no such epoch.
            WorkError: it is not ready.
        """
        self.check(command.epoch)
        if command.epoch not in self._ready:
            raise WorkError(
                f"the driver switches to epoch {command.epoch}, which is not ready", hint="Prepare it, await Ready"
            )
        self._halted = False
        if command.epoch != self.epoch:
            self._turns.append(Turn(command.epoch))
            self._waited_s = 0.0 if command.decided_s is None else now_s - command.decided_s
            self._shed()  # the turns before it hold nothing: what they held went out when they ended

    def retire(self, command: Retire) -> None:
        """`epoch` must be prepared again before it is switched to.

        Raises:
            InputError: there is no such epoch.
            WorkError: items start in it.
        """
        self.check(command.epoch)
        if command.epoch == self.epoch and not self._halted:
            raise WorkError(f"the driver retires epoch {command.epoch}, in which items start")
        self._ready.discard(command.epoch)

    def start(self, item: int) -> Turn[Thing]:
        """An item begins, in the turn that is returned."""
        turn = self._turns[-1]
        turn.in_flight += 1
        self._last_item = item
        if self._waited_s is not None:
            subject = f"epoch {turn.epoch}"
            self.facts += [
                Fact(item, subject, "switch", turn.epoch),
                Fact(item, subject, "drain_s", self._waited_s),
            ]
            self._waited_s = None
        return turn

    def finish(self, turn: Turn[Thing], thing: Thing) -> list[Thing]:
        """An item of `turn` is done; returns the things that may go out now, in their order."""
        turn.in_flight -= 1
        if turn is not self._turns[0]:
            turn.held.append(thing)
            return []
        return [thing, *self._shed()]

    def _shed(self) -> list[Thing]:
        """Forget finished turns; what the next ones held."""
        free: list[Thing] = []
        while len(self._turns) > 1 and not self._turns[0].in_flight:
            self._turns.popleft()
            free += self._turns[0].held
            self._turns[0].held = []
        return free


def switches(facts: Iterable[Fact]) -> tuple[Switch, ...]:
    """The switches that a run's facts tell of, in the order of their items."""
    told = list(facts)
    drains = {(fact.item, fact.subject): fact.value for fact in told if fact.kind == "drain_s"}
    found = [
        Switch(fact.item, int(fact.value), drains.get((fact.item, fact.subject), 0.0))
        for fact in told
        if fact.kind == "switch"
    ]
    return tuple(sorted(found, key=lambda switch: switch.item))


def used_epochs(facts: Iterable[Fact], first: int = 0) -> tuple[int, ...]:
    """The epoch that a run began in, and those that it prepared."""
    subjects = [fact.subject for fact in facts if fact.kind == "prepare_s"]
    return tuple(dict.fromkeys((first, *(int(subject.removeprefix("epoch ")) for subject in subjects))))

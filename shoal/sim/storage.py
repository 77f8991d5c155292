"""What a tensor store did, done again on another tier: its own decisions, in simulated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shoal.errors import InputError
from shoal.events import Kernel
from shoal.sim.handovers import handovers
from shoal.store import Begun, Ledger, Policy, Preload, Read, TierFigures, Told, Use


@dataclass(frozen=True)
class _Step:
    """What the user of the store does after `think_s` of its own work."""

    think_s: float
    what: Use | Preload | int  # asks for and waits; asks beforehand; lets go of the use of this number


def replayed(
    told: Told, policy: Policy, tier: TierFigures | None = None, budget_bytes: int | None = None, readers: int = 1
) -> Told:
    """The same uses and preloads with the same work between them, on a tier and in a budget of other figures.

    The user's work takes what it took; what was waited is waited anew. What threads took to wake each other and to check
    what came, beyond the tier's figures, is taken again: see `handovers`. One user, who lets go before it ends.

    Raises:
        InputError: nothing was used, or by several at once so that waits overlap.
        LimitError: something does not fit the budget.
    """
    if not told.uses:
        raise InputError("nothing was used", where="the store's record")
    run = _Replay(told, policy, tier or told.tier, budget_bytes or told.budget_bytes, readers)
    return run.done()


class _Replay:
    """One run."""

    def __init__(self, told: Told, policy: Policy, tier: TierFigures, budget_bytes: int, readers: int) -> None:
        self._told, self._tier, self._budget_bytes = told, tier, budget_bytes
        self._sizes = dict(told.sizes)
        order = [key for use in _asked(told) for key in use.keys]
        self._ledger = Ledger(self._sizes, budget_bytes, policy.keeper(tuple(self._sizes), order))
        self._kernel, self._idle, self._steps = Kernel(), readers, deque(_steps(told))
        self._takes = handovers(told)
        self._waits: Use | None = None
        self._uses, self._reads, self._preloads = list[Use](), list[Read](), list[Preload]()

    def done(self) -> Told:
        """Run to the end."""
        self._next()
        self._kernel.run()
        done = tuple(self._uses), tuple(self._reads), tuple(self._preloads)
        return Told(self._tier, self._budget_bytes, self._told.sizes, *done, self._ledger.peak_bytes)

    def _next(self) -> None:
        if self._steps:
            step = self._steps.popleft()
            self._kernel.at(self._kernel.now_s + step.think_s, lambda: self._do(step.what), rank=1)  # after reads

    def _do(self, what: Use | Preload | int) -> None:
        now_s = self._kernel.now_s
        match what:
            case Use():
                self._ledger.hold(what.keys)
                hits, late = sum(map(self._ledger.here, what.keys)), sum(map(self._ledger.coming, what.keys))
                if what.then is not None:
                    self._ledger.forget(what.then)
                    self._ledger.preload(what.then)
                self._waits = replace(what, asked_s=now_s, hits=hits, late=late)
            case Preload():
                if what.instead:
                    self._ledger.forget(what.keys)
                self._ledger.preload(what.keys, what.priority)
                self._preloads.append(replace(what, at_s=now_s))
                self._next()
            case _:
                self._ledger.let_go(self._uses[what].keys)
                self._uses[what] = replace(self._uses[what], ended_s=now_s)
                self._next()
        self._wake_readers()
        self._go_on(after_s=0.0)

    def _go_on(self, after_s: float) -> None:
        """Let the user go on where all it waits for is there."""
        if self._waits is not None and all(map(self._ledger.here, self._waits.keys)):
            use, self._waits = self._waits, None
            self._kernel.at(self._kernel.now_s + after_s, lambda: self._ready(use))

    def _ready(self, use: Use) -> None:
        self._uses.append(replace(use, ready_s=self._kernel.now_s))
        self._next()

    def _wake_readers(self) -> None:
        """Those who have nothing to do look whether there is something."""
        readers, self._idle = self._idle, 0
        for _ in range(readers):
            self._kernel.at(self._kernel.now_s + self._takes.begin_s, self._look)

    def _look(self) -> None:
        """A reader begins what can be read."""
        if (begun := self._ledger.begin()) is None:
            self._idle += 1
        else:
            self._read(begun, self._kernel.now_s, begun.done_bytes)

    def _read(self, begun: Begun, begun_s: float, done: int) -> None:
        """The next piece of a record, and what follows it; all that is left where somebody waits."""
        end = self._ledger.until(begun, done, self._tier)
        read_s = self._tier.read_s(end - done, going_on=done > begun.done_bytes)
        read_s += self._takes.read_s if end == self._sizes[begun.key] else 0.0
        self._kernel.at(self._kernel.now_s + read_s, lambda: self._came(begun, begun_s, end))

    def _came(self, begun: Begun, begun_s: float, end: int) -> None:
        whole, now_s = end == self._sizes[begun.key], self._kernel.now_s
        if whole:
            self._ledger.came(begun.key)
        elif self._ledger.overtaken(begun.key):
            self._ledger.gave_way(begun.key, end)
        else:
            self._read(begun, begun_s, end)
            return
        self._reads.append(Read(begun.key, end - begun.done_bytes, begun_s, now_s, begun.demanded, whole))
        self._kernel.at(now_s + self._takes.next_s, self._look)
        self._go_on(self._takes.wake_s)


def _steps(told: Told) -> Iterator[_Step]:
    """The user's steps in order, and its own work before each: what is not waiting."""
    steps: list[tuple[float, float, Use | Preload | int]] = []  # when, when the user goes on, what
    for at, use in enumerate(_asked(told)):
        steps += [(use.asked_s, use.ready_s, use), (use.ended_s, use.ended_s, at)]
    steps += [(each.at_s, each.at_s, each) for each in told.preloads]
    steps.sort(key=lambda step: step[:2])
    free_s = steps[0][0]
    for at_s, on_s, what in steps:
        if at_s < free_s:
            raise InputError("several users waited at once", where="the store's record")
        yield _Step(at_s - free_s, what)
        free_s = on_s


def _asked(told: Told) -> list[Use]:
    """Uses in the order in which they were asked for; the store notes them as they end, and one may be within another."""
    return sorted(told.uses, key=lambda use: (use.asked_s, use.ready_s))

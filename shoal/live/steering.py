"""The failover driver as a service sees it: what it decided is told, and where everything stands can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shoal.live.journal import Journal
from shoal.program import (
    Abandon,
    Command,
    Event,
    Gone,
    Here,
    Lost,
    Program,
    Ready,
    SwitchEpoch,
    Unready,
    Workload,
)
from shoal.program.drivers.failover import Failover, FailoverState


@dataclass
class Steering:
    """Does what `driver` does, and remembers its latest state. Asked from any thread, driven from one."""

    driver: Failover
    journal: Journal
    label: Callable[[int], str]  # an epoch in words
    resent: Callable[[int], None]  # told how many items begin again
    state: FailoverState | None = field(default=None, init=False)

    def begin(self, program: Program, workload: Workload) -> FailoverState:
        """See `Driver.begin`."""
        self.state = self.driver.begin(program, workload)
        return self.state

    def step(self, state: FailoverState, event: Event, time_s: float) -> tuple[FailoverState, tuple[Command, ...]]:
        """See `Driver.step`."""
        after, commands = self.driver.step(state, event, time_s)
        self.state = after
        self._tell_event(event)
        for command in commands:
            self._tell_command(command, state)
        return after, commands

    def _tell_event(self, event: Event) -> None:
        match event:
            case Lost(unit=unit, why=why):
                self.journal.tell("lost", unit, why)
            case Gone(device=device, why=why):
                self.journal.tell("left", device, why)
            case Here(device=device):
                self.journal.tell("joined", device, "it is there")
            case Ready(epoch=epoch, took_s=took_s) if took_s:
                self.journal.tell("planned", self.label(epoch), f"prepared in {took_s:.2f} s")
            case Unready(epoch=epoch, why=why):
                self.journal.tell("planned", self.label(epoch), f"not prepared any more: {why}")
            case _:
                return

    def _tell_command(self, command: Command, before: FailoverState) -> None:
        match command:
            case Abandon(epoch=epoch):
                again = sum(each == epoch for each, _, _ in before.flying.values())
                if again:
                    self.resent(again)
                    self.journal.tell("resent", self.label(epoch), f"{again} items begin again elsewhere")
            case SwitchEpoch(epoch=epoch):
                self.journal.tell("switched", self.label(epoch), "items go through it from now on")
            case _:
                return

"""Drivers that change epochs at stated items, whatever the data, and wait for them to be ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shoal.program import (
    Command,
    Event,
    Finished,
    Lost,
    Prepare,
    Program,
    Ready,
    Retire,
    Stop,
    SwitchEpoch,
    Unready,
    Workload,
)
from shoal.program.drivers.stream import Stream, StreamState, fill, fitted


@dataclass(frozen=True)
class TurnoverState:
    stream: StreamState
    epoch: int
    ready: Mapping[int, Program]
    workload: Workload
    since_s: float | None = None


@dataclass(frozen=True)
class Turnover:
    """Items from `to`'s keys on go through the epochs it gives them; what is not ready yet is waited for."""

    to: Mapping[int, int] = field(default_factory=dict)
    drain: bool = True
    retire: bool = False

    def begin(self, program: Program, workload: Workload) -> TurnoverState:
        stream = replace(Stream().begin(program, workload), until=self._next(-1))
        return TurnoverState(stream, program.epoch, {program.epoch: program}, workload)

    def _next(self, item: int) -> int | None:
        return min((at for at in self.to if at > item), default=None)

    def step(self, state: TurnoverState, event: Event, time_s: float) -> tuple[TurnoverState, tuple[Command, ...]]:
        if state.stream.stopped:
            return state, ()
        match event:
            case Lost(unit=unit, why=why):
                return state, (Stop(f"{unit} is gone ({why})"),)
            case Unready(why=why):
                return state, (Stop(why),)
            case Finished(item=item):
                stream = state.stream.finished(item)
                state = replace(state, stream=stream)
            case Ready(epoch=epoch, program=program):
                state = replace(state, ready={**state.ready, epoch: program})
        said: list[Command] = []
        stream, new = fill(state.stream, time_s)
        state, said = replace(state, stream=stream), [*said, *new]
        while state.stream.next_item == state.stream.until and not state.stream.stopped:
            to = self.to[state.stream.next_item]
            if state.since_s is None:
                state = replace(state, since_s=time_s)
            if to not in state.ready:
                said.append(Prepare(to))
                break
            if self.drain and state.stream.in_flight:
                break
            said.append(SwitchEpoch(to, state.since_s))
            window, routes = fitted(state.ready[to], state.workload, 0)
            if self.retire:
                said.append(Retire(state.epoch))
            ready = {
                epoch: each for epoch, each in state.ready.items() if not (self.retire and epoch == state.epoch)
            }
            stream = replace(
                state.stream,
                until=self._next(state.stream.next_item),
                routes=routes,
                workload=replace(state.workload, window=window),
            )
            stream, new = fill(stream, time_s)
            said += new
            state = TurnoverState(stream, to, ready, state.workload)
        return state, tuple(said)


@dataclass(frozen=True)
class OnceReady:
    """Prepare epoch 1 while items stream without end; change to it when it is ready, and end `after` items later."""

    after: int = 20

    def begin(self, program: Program, workload: Workload) -> StreamState:
        return Stream().begin(program, replace(workload, items=1_000_000))

    def step(self, state: StreamState, event: Event, time_s: float) -> tuple[StreamState, tuple[Command, ...]]:
        if state.stopped:
            return state, ()
        said: list[Command] = []
        match event:
            case Lost(unit=unit, why=why):
                return state, (Stop(f"{unit} is gone ({why})"),)
            case Finished(item=item):
                state = state.finished(item)
            case Ready():
                state = replace(state, until=state.next_item)
            case Unready():
                state = self._ending(state)
        if state.next_item == state.until and not state.in_flight:
            said, state = [SwitchEpoch(1, time_s)], self._ending(state)
        first = state.next_item == 0
        state, new = fill(state, time_s)
        return state, (*said, *new, *((Prepare(1),) if first else ()))

    def _ending(self, state: StreamState) -> StreamState:
        return replace(state, until=None, workload=replace(state.workload, items=state.next_item + self.after))

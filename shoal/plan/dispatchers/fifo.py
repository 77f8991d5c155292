"""First come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.dispatchers._board import Board, handed_out
from shoal.program.jobs import Assign, JobEvent
from shoal.program.tasks import Processors


@dataclass(frozen=True)
class Fifo:
    """Tasks in the order in which they become ready, each to the processor that should end it first."""

    hold: bool = False  # keep a task until its processor is free, and choose again at each event till then

    def begin(self, processors: Processors) -> Board:
        """See `Dispatcher.begin`."""
        return Board.of(processors)

    def step(self, state: Board, event: JobEvent, time_s: float) -> tuple[Board, tuple[Assign, ...]]:
        """See `Dispatcher.step`."""
        board = state.after(event, time_s)
        return handed_out(
            board, board.ready, lambda seen, job, task: seen.soonest(job, task, time_s), time_s, hold=self.hold
        )

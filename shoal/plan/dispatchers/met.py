"""Minimum execution time."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.dispatchers._board import Board, handed_out
from shoal.program.jobs import Assign, JobEvent
from shoal.program.tasks import Processors


@dataclass(frozen=True)
class Met:
    """Tasks in the order in which they become ready, each to the processor that runs it fastest, however busy."""

    def begin(self, processors: Processors) -> Board:
        """See `Dispatcher.begin`."""
        return Board.of(processors)

    def step(self, state: Board, event: JobEvent, time_s: float) -> tuple[Board, tuple[Assign, ...]]:
        """See `Dispatcher.step`."""
        board = state.after(event, time_s)
        return handed_out(board, board.ready, _fastest, time_s, hold=False)


def _fastest(board: Board, job: int, task: int) -> int:
    row = board.live[job].tasks.seconds[task]
    return row.index(min(row))

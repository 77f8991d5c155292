"""Run-time HEFT."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from shoal.plan.dispatchers._board import Board, Ready, handed_out
from shoal.plan.schedulers._ranks import upward
from shoal.program.jobs import Assign, JobEvent
from shoal.program.tasks import Processors


@dataclass(frozen=True)
class Heft:
    """At each event the ready tasks of all jobs by upward rank, each to the processor that should end it first.

    Ranks are those of the profile, and depend only on what comes after a task: worked out when a job arrives, they
    are what ranking all its remaining tasks anew at each event would give.
    [Topcuoglu et al., IEEE TPDS 13(3), 2002, at run time as in DeepSoCS, arXiv 2005.07666]
    """

    jobs: Literal["mixed", "in_turn"] = "mixed"  # ranks compared between jobs (new jobs first), or oldest job first
    hold: bool = False  # keep a task until its processor is free, and choose again at each event till then

    def begin(self, processors: Processors) -> Board:
        """See `Dispatcher.begin`."""
        return Board.of(processors)

    def step(self, state: Board, event: JobEvent, time_s: float) -> tuple[Board, tuple[Assign, ...]]:
        """See `Dispatcher.step`."""
        board = state.after(event, time_s, lambda tasks: upward(tasks, state.processors).tolist())
        order = sorted(board.ready, key=partial(self._rank, board))
        return handed_out(
            board, order, lambda seen, job, task: seen.soonest(job, task, time_s), time_s, hold=self.hold
        )

    def _rank(self, board: Board, ready: Ready) -> tuple[float, ...]:
        live = board.live[ready.job]
        rank = (-live.notes[ready.task], ready.job, live.tasks.rank[ready.task])
        return (ready.job, *rank) if self.jobs == "in_turn" else rank

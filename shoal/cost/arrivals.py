"""Items that come by themselves: at which rate they came and were answered, and whether the queue only grew."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.program import Workload
from shoal.record import Answer

KEPT_UP = 0.95  # obtained over offered; a run has an end, so one that keeps up need not reach 1


def rates(answers: Sequence[Answer], workload: Workload) -> tuple[float | None, float | None]:
    """Items a second that came by themselves, and that were answered; None for a closed workload, or a single item.

    Both between the first and the last of their kind.
    """
    arrived_s = workload.arrivals_s() if workload.arrival != "closed" else ()
    return _per_s(arrived_s), _per_s([answer.answered_s for answer in answers]) if arrived_s else None


def _per_s(times_s: Sequence[float]) -> float | None:
    if len(times_s) < 2 or max(times_s) <= min(times_s):
        return None
    return (len(times_s) - 1) / (max(times_s) - min(times_s))


def overrun(answers: Sequence[Answer], workload: Workload) -> tuple[str, ...]:
    """Said where the queue only grew: fewer were answered than came, and at the end more waited than are served."""
    offered, obtained = rates(answers, workload)
    if offered is None or obtained is None or obtained >= KEPT_UP * offered:
        return ()
    last_s = workload.arrivals_s()[-1]
    waiting = sum(answer.answered_s > last_s for answer in answers) - workload.window
    if waiting <= 0:
        return ()
    return (
        f"arrivals exceed capacity: {offered:.3g} items/s offered, {obtained:.3g} obtained; {waiting} waited when "
        "the last one came, and latencies grow with the length of the run",
    )

"""Processes that are joined work together; one that dies, at whatever moment, is named at once."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from shoal.errors import WorkerDied, WorkError
from shoal.measure.joined import joined
from shoal.measure.watched import Watched


def done(
    *jobs: dict[str, float], over: str = "shm", patience_s: float = 60.0, kill: int = -1
) -> list[Watched[list[float]]]:
    def started(processes: list[int]) -> None:
        if kill >= 0:
            threading.Timer(0.3, os.kill, (processes[kill], signal.SIGKILL)).start()

    return list(
        joined("tests.measure.joined_job", jobs, list[float], "sums", patience_s, over=over, started=started)
    )


@pytest.mark.parametrize("over", ["shm", "tcp"])
def test_they_work_together(over: str) -> None:
    found = done({"number": 1}, {"number": 2}, {"number": 4}, over=over)
    sent = 2 * 8 * 10  # of all, twice; the parts are 4, 3 and 3 numbers
    assert [each.answer[:2] for each in found] == [[7, 7]] * 3
    assert sum(each.answer[2] for each in found) == 2 * sent
    for each in found:
        assert 5e6 < each.before_bytes <= each.peak_bytes


@pytest.mark.parametrize("kill", [0, 2])
def test_one_that_is_killed_in_the_middle_of_an_exchange_is_named(kill: int) -> None:
    begun_s = time.monotonic()
    endless = {"number": 1, "size": 1e6, "turns": 1e9}
    with pytest.raises(WorkerDied, match=f"sums: member {kill} ended early: -9"):
        done(endless, endless, endless, kill=kill)
    assert time.monotonic() - begun_s < 30


def test_one_that_fails_is_named_with_its_own_words() -> None:
    with pytest.raises(WorkerDied, match="sums: member 1 ended early: ValueError: as it was told"):
        done({"number": 1}, {"number": 1, "die": 1})
    with pytest.raises(WorkerDied, match="sums: member 0 ended early: -9"):
        done({"number": 1, "die": 2}, {"number": 1})


def test_those_that_hang_are_ended() -> None:
    with pytest.raises(WorkError, match="sums: the members of the group take too long"):
        done({"number": 1}, {"number": 1, "seconds": 60}, patience_s=4.0)

"""Told to stop by a signal, and deaf again afterwards."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from shoal.agent.stopping import told_to_stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    with told_to_stop() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)


def test_afterwards_they_do_what_they_did_before_even_after_a_fault() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with contextlib.suppress(OSError), told_to_stop():
        assert signal.getsignal(signal.SIGINT) is not before[1]
        raise OSError("the port is taken")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before

"""A test that fails while the machine stood still is run again: then its time-outs rang for nobody's fault.

A thread that only sleeps notices it: waking late by `STALL_S` is far beyond what a scheduler does to it. A defect fails
again, and a failure without a stall counts at once.
"""

from __future__ import annotations

import threading
import time

import pytest
from _pytest.runner import runtestprotocol

STALL_S = 0.3
NAP_S = 0.02
TRIES = 3
STALLED = "stalled_s"


class Watch:
    """The longest time by which this process woke late since `restart`."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        threading.Thread(target=self._sleep, name="stalls", daemon=True).start()

    def restart(self) -> None:
        self._longest_s = 0.0

    @property
    def longest_s(self) -> float:
        return self._longest_s

    def _sleep(self) -> None:
        while True:
            start_s = time.monotonic()
            time.sleep(NAP_S)
            self._longest_s = max(self._longest_s, time.monotonic() - start_s - NAP_S)


class Stalls:
    """The plugin; what was run again is listed at the end."""

    def __init__(self) -> None:
        self._watch = Watch()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._run(item, nextitem):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ended = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
        for report in ended:
            for name, stalled_s in report.user_properties:
                if name == STALLED and report.when == "call":
                    terminalreporter.line(f"RUN AGAIN {report.nodeid}: it failed in a stall of {stalled_s:.2f} s")

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        for _ in range(TRIES - 1):
            self._watch.restart()
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            stalled_s = self._watch.longest_s
            if stalled_s < STALL_S or not any(report.failed for report in reports):
                return reports
            item.user_properties.append((STALLED, stalled_s))
        return runtestprotocol(item, log=False, nextitem=nextitem)

"""Workers that were started by hand on their devices, from packed folders, and are reached by address."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shoal import fleet, graph, plan
from shoal.errors import PlanError
from shoal.plan.costs import costs_of
from shoal.run import Settings, execute
from shoal.run.pack import pack
from tests.graph import models

FLEET = """
[devices.one]
board = "raspberry-pi-4b-4gb"
address = "127.0.0.1:{}"
[devices.two]
board = "raspberry-pi-3b-plus"
{}
[default_link]
bandwidth = "1 Gbit/s"
latency = "1 ms"
"""


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _plan(text: str) -> plan.Plan:
    path = models.light("squeezenet")
    network = graph.load(path)
    machines = fleet.loads(text)
    wishes = plan.Wishes(shares=(1, 1), engines=("onnxruntime",))
    reference = plan.ModelRef(network.name, str(path), network.sha256)
    return plan.search(network, reference, machines, costs_of(network, machines, measure=False), wishes).plan


def test_workers_that_already_run_are_used(tmp_path: Path) -> None:
    ports = _free_port(), _free_port()
    decided = _plan(FLEET.format(ports[0], f'address = "127.0.0.1:{ports[1]}"'))
    packed = pack(decided, tmp_path / "bundles")
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "shoal", "worker", str(packed.units[unit]), "--listen", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
        )
        for unit, port in zip(("one/cpu", "two/cpu"), ports, strict=True)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert re.search(rb"listening", worker.stdout.readline())
        result = execute(decided, Settings(items=6, over="tcp"))
        assert result.run.outputs_match
        assert [worker.wait(timeout=5) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_half_of_the_addresses_is_no_fleet_to_run_on() -> None:
    with pytest.raises(PlanError, match=r"some have not.*two/cpu"):
        execute(_plan(FLEET.format(_free_port(), "")), Settings(items=1, over="tcp"))

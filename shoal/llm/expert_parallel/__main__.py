"""`python -m shoal.llm.expert_parallel TASK`: a worker process; it ends when the coordinator leaves."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tracemalloc

from shoal import codec
from shoal.errors import ShoalError
from shoal.llm.expert_parallel.frames import Gone, Line
from shoal.llm.expert_parallel.messages import OTHER_LEFT, Task
from shoal.llm.expert_parallel.worker import Worker


def main(told: str) -> int:
    """Hold experts and compute until the coordinator leaves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's, who may still have texts to end
    task = codec.decode(Task, told.encode(), "task")
    if task.core >= 0:
        os.sched_setaffinity(0, {task.core})
    lines = {party: Line(party, socket.socket(fileno=number)) for party, number in task.sockets.items()}
    if task.traced:
        tracemalloc.start()
    try:
        Worker(task, lines).serve()
    except Gone as gone:
        sys.stderr.write(f"{gone.message}\n")
        return 0 if task.workers in gone.parties else OTHER_LEFT
    except ShoalError as fault:
        sys.stderr.write(f"{fault.message}\n")
        return fault.exit_code
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)

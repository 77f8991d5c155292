"""A job done by a module of this package in a process of its own, which does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from shoal import codec
from shoal.errors import WorkError

Answer = TypeVar("Answer")


def asked(module: str, job: Any, answer: type[Answer], where: str, patience_s: float) -> Answer:
    """What `python -m module FILE` prints about the job in the file.

    Raises:
        WorkError: the process died, or took longer than `patience_s`.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-job-") as folder:
        file = Path(folder, "job.json")
        codec.save(job, file)
        command = [sys.executable, "-m", module, str(file)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        try:
            done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=patience_s)
        except subprocess.TimeoutExpired as fault:
            raise WorkError(f"measuring it took more than {patience_s:g} s", where=where) from fault
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"signal {-done.returncode}" if done.returncode < 0 else "; ".join(last)
        raise WorkError(f"the process measuring it ended early: {reason}", where=where)
    return codec.decode(answer, done.stdout, where)

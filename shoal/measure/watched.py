"""A job in a process of its own, whose memory is looked at from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from shoal import codec
from shoal.errors import WorkError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Watched(Generic[Answer]):
    """What the process answered, and the most memory it had: resident, as the system counts it."""

    answer: Answer
    before_bytes: int  # when it was ready, its libraries loaded
    peak_bytes: int


def watched(module: str, job: Any, answer: type[Answer], where: str, patience_s: float) -> Watched[Answer]:
    """Run `python -m module FILE`, which calls `show` once ready and once done.

    Raises:
        WorkError: the process died, or took longer than `patience_s`.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-job-") as folder:
        file = Path(folder, "job.json")
        codec.save(job, file)
        command = [sys.executable, "-m", module, str(file)]
        with (
            Path(folder, "errors").open("w+b") as errors,
            subprocess.Popen(
                command, env=like_here(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            ) as process,
        ):
            late = threading.Timer(patience_s, process.kill)
            late.start()
            try:
                _, before_bytes = _heard(process, errors, where)
                data, peak_bytes = _heard(process, errors, where)
            finally:
                late.cancel()
                process.kill()
    return Watched(codec.decode(answer, data, where), before_bytes, peak_bytes)


def show(value: Any = None) -> None:
    """In the process: say something, and wait until it was looked at."""
    sys.stdout.buffer.write(codec.encode(value) + b"\n")
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()


def worked(main: Callable[[Any], Any], kind: type[Any]) -> None:
    """The whole of such a process: ready, the job done, shown."""
    job = codec.load(kind, Path(sys.argv[1]))
    show()
    show(main(job))


def _heard(process: subprocess.Popen[bytes], errors: IO[bytes], where: str) -> tuple[bytes, int]:
    """A line, and the most that was resident up to it."""
    assert process.stdout is not None
    assert process.stdin is not None
    line = process.stdout.readline()
    if not line:
        raise WorkError(f"the process ended early: {last_words(process, errors)}", where=where)
    peak_bytes = most_resident_bytes(process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    return line, peak_bytes


def like_here() -> dict[str, str]:
    """The environment in which another process finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}


def last_words(process: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    """The last line that a process which has ended left in its file of errors; else its code."""
    code = process.wait()
    errors.seek(0)
    return "".join(errors.read().decode(errors="replace").strip().splitlines()[-1:]) or str(code)


def most_resident_bytes(process: int) -> int:
    """The most memory that a process had so far: resident, as the system counts it."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith("VmHWM:"))

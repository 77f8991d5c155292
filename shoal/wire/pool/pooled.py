"""A pool's server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shoal import codec
from shoal.errors import WorkerDied
from shoal.wire.pool.values import Layout

END_S = 5.0  # that it may take to end once all ports have left


@contextmanager
def pooled(layout: Layout) -> Iterator[Path]:
    """Where it listens, until all ports have come; it ends with the block, or when all have left.

    Raises:
        WorkerDied: it does not begin.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-pool-") as folder:
        path = Path(folder, "pool")
        process = subprocess.Popen(
            [sys.executable, "-m", "shoal.wire.pool.server", str(path), codec.encode(layout).decode()],
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise WorkerDied("the pool does not begin", had=f"exit code {process.wait()}")
            yield path
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
        finally:
            process.kill()
            process.communicate()

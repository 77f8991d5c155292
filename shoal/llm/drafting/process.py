"""A drafter in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shoal import catalog
from shoal.errors import InputError, WorkerDied, WorkError
from shoal.llm.drafting.drafters.contract import Ask, Drafter
from shoal.llm.drafting.messages import UNIT, Line, Sizes
from shoal.llm.drafting.tree import Tree

START_S = 60.0
LEAVE_S = 5.0
PATIENCE_S = 30.0  # for a tree
NODES = 64  # most tokens of a tree


class Elsewhere:
    """A drafter at the other end of a connection; a `Drafter` like those of the family."""

    def __init__(self, line: Line, sizes: Sizes, process: int) -> None:
        self._line, self.sizes, self.process = line, sizes, process
        self.vocabulary, self.width = sizes.vocabulary, sizes.width

    @property
    def bytes(self) -> int:
        """Of arrays, both ways, so far."""
        return self._line.bytes

    def begin(self, seed: int) -> Asking:
        """See `Drafter`."""
        return Asking(self._line, seed, self.sizes.nodes)


class Asking:
    """One text; a drafter elsewhere has one at a time."""

    def __init__(self, line: Line, seed: int, nodes: int) -> None:
        self._line, self._nodes = line, nodes
        self._seed: int | None = seed

    @property
    def bytes(self) -> int:
        """Of arrays, both ways, so far."""
        return self._line.bytes

    def propose(self, ask: Ask) -> Tree:
        """See `Session`.

        Raises:
            InputError: a larger tree than the connection lets through.
            WorkerDied: the drafter is gone.
        """
        if ask.budget.tokens > self._nodes:
            raise InputError("trees from another process are smaller", needed=f"at most {self._nodes} tokens",
                             had=str(ask.budget.tokens))  # fmt: skip
        seed, self._seed = self._seed, None
        return self._line.ask(ask, seed, PATIENCE_S)


@contextmanager
def elsewhere(
    drafter: str, *, context: int = 4096, core: int | None = None, over: str = "tcp"
) -> Iterator[Elsewhere]:
    """A drafter in a process that ends with the block.

    Args:
        drafter: of the family, with its options: "ngram:longest=6".
        context: most tokens of a text.
        core: of this machine, on which alone it runs; none: any.
        over: the transport.

    Raises:
        WorkError: it did not start; the message is its own.
        WireError: it cannot be reached.
    """
    command = [sys.executable, "-m", "shoal.llm.drafting", drafter, "--context", str(context), "--over", over]
    command += [] if core is None else ["--core", str(core)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=alone) as process:
        try:
            said = _first_line(process)
            sizes = Sizes(said["vocabulary"], said["width"], context, NODES)
            line = Line(catalog.make("wire/transports", over).client(sizes.program(), {UNIT: said["listening"]}))
            try:
                yield Elsewhere(line, sizes, process.pid)
            finally:
                line.close()
        finally:
            _end(process)


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, int]:
    assert process.stdout is not None
    assert process.stderr is not None
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else b""
    if not line:
        process.kill()
        words = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise WorkError(f"the drafter did not start: {words[-1].removeprefix('error: ') if words else 'no answer'}")
    found: dict[str, int] = json.loads(line)
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def serve(line: Line, drafter: Drafter) -> None:
    """Answer until nobody asks any more."""
    session = drafter.begin(0)
    while True:
        try:
            ask, seed = line.asked()
        except WorkerDied:
            return
        session = session if seed is None else drafter.begin(seed)
        line.answer(session.propose(ask))

"""A job in several processes that are joined in a group, whose memory is looked at from outside."""

from __future__ import annotations

import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from shoal import catalog, codec
from shoal.errors import WorkerDied, WorkError
from shoal.measure.watched import Watched, last_words, like_here, most_resident_bytes, show
from shoal.wire.collectives import Group, group_program

Answer = TypeVar("Answer")
MEET_S = 60.0  # for members to find each other, once all are ready


def joined(
    module: str,
    jobs: Sequence[Any],
    answer: type[Answer],
    where: str,
    patience_s: float,
    *,
    over: str = "shm",
    started: Callable[[list[int]], object] | None = None,
) -> tuple[Watched[Answer], ...]:
    """Run `python -m module FILE RANK MEMBERS OVER` once for each job; `worked_together` is the whole of such a process.

    Args:
        module: what runs.
        jobs: one for each member, in the order of ranks.
        answer: what each of them gives.
        where: what this is, for messages.
        patience_s: for all of it.
        over: the transport among them.
        started: is told their processes once they are joined.

    Raises:
        WorkerDied: a process died; it is named, with the last of what it said.
        WorkError: they took longer than `patience_s`.
    """
    program = group_program(len(jobs))
    with tempfile.TemporaryDirectory(prefix="shoal-jobs-") as folder, ExitStack() as ending:
        members = [
            ending.enter_context(_Member(module, job, rank, len(jobs), over, Path(folder)))
            for rank, job in enumerate(jobs)
        ]
        call = _Call(members, where, time.monotonic() + patience_s)
        addresses = {
            unit: codec.decode(str, line, where) for unit, line in zip(program.units, call.heard(), strict=True)
        }
        before = [each.peak_bytes for each in members]
        call.go_on()
        client = catalog.make("wire/transports", over).client(program, addresses)
        ending.callback(client.close)
        if started:
            started([each.process.pid for each in members])
        answers = [codec.decode(answer, line, where) for line in call.heard()]
        return tuple(
            Watched(found, at_first, each.peak_bytes)
            for found, at_first, each in zip(answers, before, members, strict=True)
        )


def worked_together(main: Callable[[Any, Group], Any], kind: type[Any]) -> None:
    """The whole of one process: joined, the job done, shown; it stays until all have ended."""
    file, rank, members, over = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    program, job = group_program(members), codec.load(kind, Path(file))
    transport = catalog.make("wire/transports", f"{over}:wait_s={MEET_S:g}")
    group = Group(transport.worker(program.units[rank], program, "", show), program, rank)
    show(main(job, group))
    group.close()


class _Member:
    """One process, until the end of the block."""

    def __init__(self, module: str, job: Any, rank: int, members: int, over: str, folder: Path) -> None:
        file = folder / f"job-{rank}.json"
        codec.save(job, file)
        self.rank, self.peak_bytes = rank, 0
        self.errors: IO[bytes] = (folder / f"errors-{rank}").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(file), str(rank), str(members), over],
            env=like_here(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def heard(self) -> bytes:
        """The line that it says; nothing if it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            self.peak_bytes = most_resident_bytes(self.process.pid)
        return line

    def go_on(self) -> None:
        """Let it go on: it was looked at."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@dataclass(frozen=True)
class _Call:
    """What is asked of all members at once."""

    members: list[_Member]
    where: str
    until_s: float

    def heard(self) -> list[bytes]:
        """A line of each."""
        lines = [b""] * len(self.members)
        with selectors.DefaultSelector() as selector:
            for each in self.members:
                assert each.process.stdout is not None
                selector.register(each.process.stdout, selectors.EVENT_READ, each)
            while selector.get_map():
                ready = selector.select(max(0.0, self.until_s - time.monotonic()))
                if not ready:
                    raise WorkError("the members of the group take too long", where=self.where)
                for key, _ in ready:
                    member: _Member = key.data
                    lines[member.rank] = member.heard()
                    if not lines[member.rank]:
                        raise self._died(member)
                    selector.unregister(key.fileobj)
        return lines

    def go_on(self) -> None:
        """Let all of them go on."""
        for each in self.members:
            each.go_on()

    def _died(self, found: _Member) -> WorkerDied:
        """Who ended first: not who only says that another is gone."""
        ended = [found, *(each for each in self.members if each is not found and each.process.poll() is not None)]
        words = {each.rank: last_words(each.process, each.errors) for each in ended}
        rank = min(words, key=lambda rank: WorkerDied.__name__ in words[rank])
        return WorkerDied(f"member {rank} ended early: {words[rank]}", where=self.where)

"""Parties as ranks of one MPI job: rank i is the program's i-th party, rank 0 the client.

MPI has no way to sleep until something comes: its own waits keep a core busy. So waiting here looks, and
sleeps between two looks, longer the longer nothing comes; a message is seen up to `nap_s` late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.errors import InputError, MissingExtra, WireError
from shoal.program import CLIENT, Program
from shoal.wire.ranks import RankEndpoint


@dataclass(frozen=True)
class Mpi:
    """mpi4py over all ranks of the job. Addresses are not used."""

    nap_s: float = 0.001  # the longest sleep between two looks for a message, in seconds

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> RankEndpoint:
        """The endpoint of the unit `name`, once all ranks are there.

        Raises:
            MissingExtra: mpi4py is not installed.
            InputError: the job has another number of ranks, or this rank is another unit.
            WireError: another rank runs another program or protocol.
        """
        announce("")
        return RankEndpoint(name, program, _communicator(name, program), self.nap_s)

    def client(self, program: Program, addresses: Mapping[str, str]) -> RankEndpoint:
        """The coordinator's endpoint, once all ranks are there; raises like `worker`."""
        return RankEndpoint(CLIENT, program, _communicator(CLIENT, program), self.nap_s)


def _communicator(name: str, program: Program) -> Any:
    """A communicator of our own, after all ranks have compared program and protocol."""
    try:
        from mpi4py import MPI
    except ImportError as fault:
        raise MissingExtra("mpi4py", "mpi") from fault
    world, parties = MPI.COMM_WORLD, program.parties
    mine = np.frombuffer(program.hash + program.protocol.to_bytes(4, "little"), np.uint8)
    everyone = np.empty((world.size, mine.size), np.uint8)
    world.Allgather(mine, everyone)
    different = np.flatnonzero((everyone != mine).any(axis=1)).tolist()
    if different:
        raise WireError(
            "runs another program", where=", ".join(f"rank {rank}" for rank in different),
            hint="deploy the same bundle set to every device",
        )  # fmt: skip
    if world.size != len(parties):
        raise InputError(
            "the job has the wrong number of ranks", needed=f"{len(parties)}: {', '.join(parties)}",
            had=str(world.size),
        )  # fmt: skip
    if parties[world.rank] != name:
        raise InputError(f"rank {world.rank} is not '{name}'", needed=parties[world.rank])
    return world.Dup()

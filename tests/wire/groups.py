"""Groups whose members are threads of this process, over any transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from shoal import catalog
from shoal.wire.collectives import Group, group_program

Answer = TypeVar("Answer")


@contextmanager
def grouped(over: str, members: int, patience_s: float = 10.0) -> Iterator[list[Group]]:
    """The members' ends, connected; they end with the block, after the client."""
    what, transport = group_program(members), catalog.make("wire/transports", over)
    addresses: dict[str, str] = {}
    told = threading.Semaphore(0)

    def worker(unit: str) -> Group:
        def announce(address: str) -> None:
            addresses[unit] = address
            told.release()

        return Group(transport.worker(unit, what, "", announce), what, what.units.index(unit), patience_s)

    with ThreadPoolExecutor(members) as pool:
        coming = [pool.submit(worker, unit) for unit in what.units]
        for _ in coming:
            assert told.acquire(timeout=10)
        client = transport.client(what, addresses)
        groups = [each.result(10) for each in coming]
    try:
        yield groups
    finally:
        together(groups, Group.close)  # at once: who has a server waits for the others to leave
        client.close()


def together(groups: list[Group], what: Callable[[Group], Answer]) -> list[Answer]:
    """What each member answers, all at work at once."""
    with ThreadPoolExecutor(len(groups)) as pool:
        return [each.result(20) for each in [pool.submit(what, group) for group in groups]]

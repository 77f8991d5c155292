"""A worker that runs nothing: it lets others read the records of a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shoal.store import FileTier
from shoal.store.offer import Offer


def offer(path: Path, over: str, listen: str, announce: Callable[[str], None]) -> None:
    """Offer a file's records until this process is ended.

    Raises:
        ModelError: no store, or a damaged one.
        InputError: not an address, or one beyond this host without an identity.
        WireError: the address is in use.
    """
    tier = FileTier(path)
    with Offer(tier, over, listen, tier.about) as offered:
        announce(offered.address)
        offered.wait()

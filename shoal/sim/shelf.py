"""A tensor store without bytes, in simulated time: one reader, and one user whose work is told in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from numpy.typing import NDArray

from shoal.errors import LimitError
from shoal.store import Begun, Key, Ledger, Policy, Read, TierFigures, Told, Use

Sizes = tuple[tuple[Key, int], ...]


class SimulatedStore:
    """Takes the decisions of `TensorStore`, by the same ledger; reads take what the tier's figures say.

    Args:
        sizes: bytes of every record.
        budget_bytes: what may be held at once.
        policy: what leaves.
        tier: how fast it is read.
    """

    def __init__(self, sizes: Sizes, budget_bytes: int, policy: Policy, tier: TierFigures) -> None:
        self._sizes, self._budget_bytes, self._tier = sizes, budget_bytes, tier
        self._bytes = dict(sizes)
        self._ledger = Ledger(self._bytes, budget_bytes, policy.keeper(tuple(self._bytes)))
        self._reading: _Piece | None = None
        self._uses, self._reads = list[Use](), list[Read]()
        self.now_s = 0.0

    def held(self) -> frozenset[Key]:
        """What is here."""
        return self._ledger.held()

    @contextmanager
    def hold(
        self, keys: Sequence[Key], then: Sequence[Key] | None = None
    ) -> Iterator[list[dict[str, NDArray[Any]]]]:
        """See `TensorStore.hold`; the arrays are empty.

        Raises:
            LimitError: all that is held at once does not fit.
        """
        asked_s = self.now_s
        self._ledger.hold(keys)
        hits, late = sum(map(self._ledger.here, keys)), sum(map(self._ledger.coming, keys))
        if then is not None:
            self._ledger.forget(then)
            self._ledger.preload(then)
        self._begin(self.now_s)
        while not all(map(self._ledger.here, keys)):
            if self._reading is None:
                raise LimitError("nothing can leave for what is waited for", where=", ".join(map(str, keys)))
            self.now_s = max(self.now_s, self._reading.until_s)
            self._came()
        ready_s = self.now_s
        try:
            yield [{} for _ in keys]
        finally:
            self._ledger.let_go(keys)
            foreseen = None if then is None else tuple(then)
            self._uses.append(Use(tuple(keys), asked_s, ready_s, self.now_s, hits, late, foreseen))
            self._begin(self.now_s)

    def work(self, seconds: float) -> None:
        """The user is busy for so long, while reads go on."""
        until_s = self.now_s + seconds
        while self._reading is not None and self._reading.until_s <= until_s:
            self._came()
        self.now_s = until_s

    def told(self) -> Told:
        """What it has done so far."""
        done = tuple(self._uses), tuple(self._reads), ()
        return Told(self._tier, self._budget_bytes, self._sizes, *done, self._ledger.peak_bytes)

    def _begin(self, at_s: float) -> None:
        if self._reading is None and (begun := self._ledger.begin()):
            self._read(begun, at_s, at_s, begun.done_bytes)

    def _read(self, begun: Begun, begun_s: float, at_s: float, done: int) -> None:
        end = self._ledger.until(begun, done, self._tier)
        self._reading = _Piece(
            begun, begun_s, at_s + self._tier.read_s(end - done, going_on=done > begun.done_bytes), end
        )

    def _came(self) -> None:
        """A piece came: the next one, or another record where this one is whole or gives way."""
        assert self._reading is not None
        begun, begun_s, now_s, end = self._reading
        whole = end == self._bytes[begun.key]
        if not whole and not self._ledger.overtaken(begun.key):
            self._read(begun, begun_s, now_s, end)
            return
        self._reading = None
        if whole:
            self._ledger.came(begun.key)
        else:
            self._ledger.gave_way(begun.key, end)
        self._reads.append(Read(begun.key, end - begun.done_bytes, begun_s, now_s, begun.demanded, whole))
        self._begin(now_s)


class _Piece(NamedTuple):
    """What is being read."""

    begun: Begun
    begun_s: float
    until_s: float
    end: int  # byte of the record

"""A tensor store without bytes, in simulated time: one reader, and one user whose work is told in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from shoal.errors import LimitError
from shoal.store import Key, Ledger, Policy, Read, TierFigures, Told, Use

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
        self._reading: tuple[Key, float, float, bool] | None = None  # what, from when, until when, awaited
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
            self.now_s = max(self.now_s, self._reading[2])
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
        while self._reading is not None and self._reading[2] <= until_s:
            self._came()
        self.now_s = until_s

    def told(self) -> Told:
        """What it has done so far."""
        done = tuple(self._uses), tuple(self._reads), ()
        return Told(self._tier, self._budget_bytes, self._sizes, *done, self._ledger.peak_bytes)

    def _begin(self, at_s: float) -> None:
        if self._reading is None and (begun := self._ledger.begin()):
            self._reading = (begun.key, at_s, at_s + self._tier.read_s(self._bytes[begun.key]), begun.demanded)

    def _came(self) -> None:
        assert self._reading is not None
        key, begun_s, ended_s, demanded = self._reading
        self._reading = None
        self._ledger.came(key)
        self._reads.append(Read(key, self._bytes[key], begun_s, ended_s, demanded))
        self._begin(ended_s)

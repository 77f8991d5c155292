"""Which records are held, wanted and let go: the decisions of a tensor store, without clock, thread or byte.

The store and its simulation both stand on it, so that what is simulated is what runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from shoal.errors import InputError, LimitError
from shoal.store.contract import Keeper
from shoal.store.values import Key, TierFigures

DEMAND = -1  # the priority of what somebody waits for; preloads have 0 and more, the lowest first


@dataclass(frozen=True)
class Begun:
    """A read to be done now."""

    key: Key
    gone: tuple[Key, ...]  # what leaves for it
    demanded: bool  # somebody waits
    done_bytes: int = 0  # of it that came before it gave way


class Ledger:
    """What is where, and what is read next.

    Args:
        sizes: bytes of every record.
        budget_bytes: what may be held at once, records on their way among it.
        keeper: what leaves first.

    Raises:
        LimitError: not even the largest record fits.
    """

    def __init__(self, sizes: Mapping[Key, int], budget_bytes: int, keeper: Keeper) -> None:
        self._sizes, self._budget_bytes, self._keeper = sizes, budget_bytes, keeper
        largest = max(sizes, key=lambda key: sizes[key])
        if sizes[largest] > budget_bytes:
            raise LimitError("the budget holds not even one record", where=str(largest), hint="cut it into tiles",
                             needed=f"{sizes[largest]} bytes", had=f"{budget_bytes}")  # fmt: skip
        self._held: set[Key] = set()
        self._loading: dict[Key, tuple[int, int] | None] = {}  # as it was wanted; None: struck since
        self._half: dict[Key, int] = {}  # bytes that came before it gave way
        self._fresh: set[Key] = set()  # asked for beforehand, and not used since
        self._pins: dict[Key, int] = {}  # how many use it; a key stays here while it is being read, too
        self._wanted: dict[Key, tuple[int, int]] = {}  # priority, order of asking
        self._queue: list[tuple[int, int, Key]] = []
        self._asked = 0
        self.used_bytes = 0
        self.peak_bytes = 0

    def held(self) -> frozenset[Key]:
        """All keys that can be used at once."""
        return frozenset(self._held)

    def here(self, key: Key) -> bool:
        """Whether a key can be used at once."""
        return key in self._held

    def coming(self, key: Key) -> bool:
        """Whether a key that was foreseen is being read, or a part of it came."""
        wanted = self._loading.get(key, (DEMAND, 0))
        return key in self._half or wanted is None or wanted[0] != DEMAND

    def size(self, key: Key) -> int:
        """Bytes of a key.

        Raises:
            InputError: nothing is stored under it.
        """
        if key not in self._sizes:
            raise InputError("nothing is stored under this key", where=str(key))
        return self._sizes[key]

    def hold(self, keys: Collection[Key]) -> None:
        """Somebody is about to use these together: they are asked for where they are not here, and stay until let go.

        Raises:
            InputError: nothing is stored under a key.
            LimitError: all that is held at once would not fit.
        """
        needed = sum(self.size(key) for key in set(self._pins) | set(keys))
        if needed > self._budget_bytes:
            raise LimitError("what is used at once is larger than the budget", where=", ".join(map(str, sorted(keys))),
                             needed=f"{needed} bytes", had=f"{self._budget_bytes}")  # fmt: skip
        for key in keys:
            self._keeper.used(key)
            self._pins[key] = self._pins.get(key, 0) + 1
            self._fresh.discard(key)
            self._want(key, DEMAND)

    def let_go(self, keys: Iterable[Key]) -> None:
        """What `hold` was asked for is not in use any more."""
        for key in keys:
            self._pins[key] -= 1
            if not self._pins[key]:
                del self._pins[key]

    def preload(self, keys: Iterable[Key], priority: int = 0) -> None:
        """Have these read when nobody waits for another; those that are here stay before others do."""
        for key in keys:
            self.size(key)
            self._want(key, priority)
            if key in self._held:
                self._fresh.add(key)

    def forget(self, keep: Collection[Key] = ()) -> int:
        """Strike preloads that are not here, but for some; how many had not begun. What others have brought may leave as
        anything."""
        self._fresh &= set(keep)
        for key, wanted in self._loading.items():
            if wanted is not None and wanted[0] != DEMAND and key not in keep:
                self._loading[key] = None
        gone = [key for key, (priority, _) in self._wanted.items() if priority != DEMAND and key not in keep]
        for key in gone:
            del self._wanted[key]
        return len(gone)

    def begin(self) -> Begun | None:
        """What to read now and what leaves for it; None if nothing is asked for, or there is no room as yet."""
        key = self._foremost()
        if key is None:
            return None
        demanded, done_bytes = self._wanted[key][0] == DEMAND, self._half.get(key, 0)
        gone = () if done_bytes else self._room(self._sizes[key], demanded=demanded)
        if gone is None:
            return None
        heapq.heappop(self._queue)
        self._half.pop(key, None)
        self._loading[key] = self._wanted.pop(key)
        for each in gone:
            self._leave(each)
        if not demanded:
            self._fresh.add(key)
        if not done_bytes:
            self.used_bytes += self._sizes[key]
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        return Begun(key, gone, demanded, done_bytes)

    def until(self, begun: Begun, done_bytes: int, tier: TierFigures) -> int:
        """Up to which byte a record is read before it may give way; all of it where somebody waits for it."""
        size = self._sizes[begun.key]
        urgent = begun.demanded or begun.key in self._pins
        return size if urgent else min(size, done_bytes + tier.piece_bytes(size))

    def overtaken(self, key: Key) -> bool:
        """Whether what is being read should give way: nobody waits for it, but for another; or it is not foreseen any more,
        and another is."""
        other = self._foremost()
        if other is None or key in self._pins:
            return False
        return self._wanted[other][0] == DEMAND or self._loading[key] is None

    def gave_way(self, key: Key, done_bytes: int) -> None:
        """So much of a record has come; the rest is read when its turn comes again, unless its room is needed before."""
        wanted = self._loading.pop(key)
        self._half[key] = done_bytes
        if wanted is not None:
            self._wanted[key] = wanted
            heapq.heappush(self._queue, (*wanted, key))

    def came(self, key: Key) -> None:
        """A record has been read."""
        del self._loading[key]
        self._held.add(key)

    def failed(self, key: Key) -> None:
        """A record could not be read: its room is free again."""
        del self._loading[key]
        self._fresh.discard(key)
        self.used_bytes -= self._sizes[key]

    def _leave(self, key: Key) -> None:
        self._held.discard(key)
        self._fresh.discard(key)
        self._half.pop(key, None)
        self.used_bytes -= self._sizes[key]

    def _shortest(self, key: Key) -> tuple[int, Key]:
        return self._half[key], key

    def _want(self, key: Key, priority: int) -> None:
        before = self._loading[key] if key in self._loading else self._wanted.get(key)
        if key in self._held or (before is not None and (before[0] <= priority or key in self._loading)):
            return
        self._asked += 1
        wanted = priority, self._asked
        if key in self._loading:  # struck meanwhile
            self._loading[key] = wanted
        else:
            self._wanted[key] = wanted
            heapq.heappush(self._queue, (*wanted, key))

    def _foremost(self) -> Key | None:
        while self._queue:
            priority, asked, key = self._queue[0]
            if self._wanted.get(key) == (priority, asked):
                return key
            heapq.heappop(self._queue)  # struck, or asked for again more urgently
        return None

    def _room(self, size: int, *, demanded: bool) -> tuple[Key, ...] | None:
        """What leaves so that `size` fits; None if what could leave is not enough.

        First parts that nobody wants the rest of. What was asked for beforehand and nobody has used yet leaves last, parts
        before the whole, and never for another preload: else what is used soon would leave for what is used later.
        """
        free, parts = self._held - set(self._pins), self._half.keys() - set(self._pins)
        gone: list[Key] = []
        left = self._budget_bytes - self.used_bytes
        while left < size:
            among = parts - self._wanted.keys() or free - self._fresh or (demanded and (parts or free))
            if not among:
                return None
            gone.append(min(among, key=self._shortest) if among <= parts else self._keeper.victim(among))
            free.discard(gone[-1])
            parts.discard(gone[-1])
            left += self._sizes[gone[-1]]
        return tuple(gone)

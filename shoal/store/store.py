"""Tensors of a slow tier within a budget of memory: fetched when asked for, or before."""

from __future__ import annotations

import mmap
import threading
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from shoal.errors import ShoalError, WorkError
from shoal.store.contract import Policy, Tier
from shoal.store.ledger import Begun, Ledger
from shoal.store.pool import Pool
from shoal.store.told import Preload, Read, Told, Use
from shoal.store.values import Key

END_S = 30.0  # how long a read may still take when the store is closed


class TensorStore:
    """Records of a tier in a fixed amount of memory.

    Args:
        tier: where they all lie; closed with the store.
        budget_bytes: for records, those on their way among them; a hard limit.
        policy: what leaves where something has to.
        uses: all that will be asked for, in order, for policies that must know.
        readers: threads that read; one is what a single disk or line serves best.

    Raises:
        LimitError: the budget holds not even the largest record.
        InputError: the policy needs to know the uses.
    """

    def __init__(
        self, tier: Tier, budget_bytes: int, policy: Policy, uses: Sequence[Key] | None = None, readers: int = 1
    ) -> None:
        sizes = {key: record.bytes for key, record in tier.records.items()}
        self._tier, self._budget_bytes, self._pool = tier, budget_bytes, Pool(budget_bytes)
        self._ledger = Ledger(sizes, budget_bytes, policy.keeper(tuple(sizes), uses))
        self._buffers: dict[Key, mmap.mmap] = {}
        self._faults: dict[Key, ShoalError] = {}
        self._changed, self._ended = threading.Condition(), False
        self._broken: ShoalError | None = None
        self._begun_s, self._peak_bytes = time.perf_counter(), 0
        self._uses, self._reads, self._preloads = list[Use](), list[Read](), list[Preload]()
        self._threads = [
            threading.Thread(target=self._read_on, name=f"store-{at}", daemon=True) for at in range(readers)
        ]
        for each in self._threads:
            each.start()

    @property
    def keys(self) -> Collection[Key]:
        """All there are."""
        return self._tier.records.keys()

    def held(self) -> frozenset[Key]:
        """What is here now; unless it is in use, it may be gone the next moment."""
        with self._changed:
            return self._ledger.held()

    @contextmanager
    def hold(
        self, keys: Sequence[Key], then: Sequence[Key] | None = None
    ) -> Iterator[list[dict[str, NDArray[Any]]]]:
        """The arrays of these keys, in order; they must not be used after the end of the block.

        Args:
            keys: are read first where they are not here.
            then: are preloaded after them, instead of preloads asked for before that are not here. Asked for in one
                with the keys, they neither overtake these nor wait until these are here. None: preloads stay as they are.

        Raises:
            InputError: nothing is stored under a key.
            LimitError: all that is in use at once is larger than the budget.
            ModelError: what was read is damaged.
            WorkError: it cannot be read, or the store is closed.
        """
        asked_s = self.now_s()
        with self._changed:
            self._check_open()
            for key in then or ():
                self._ledger.size(key)  # unknown ones are refused before anything is held
            self._ledger.hold(keys)
            for key in keys:
                self._faults.pop(key, None)  # it is read again, for all who wait
            hits = sum(map(self._ledger.here, keys))
            late = sum(map(self._ledger.coming, keys))
            if then is not None:
                self._ledger.forget(then)
                self._ledger.preload(then)
            self._changed.notify_all()
        arrays: list[dict[str, NDArray[Any]]] = []
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._broken or all(map(self._settled, keys)))
                self._check_open()
                for key in keys:
                    if key in self._faults:
                        raise self._faults[key]
                ready_s = self.now_s()
                arrays += [self._tier.records[key].views(memoryview(self._buffers[key])) for key in keys]
            yield arrays
            foreseen = None if then is None else tuple(then)
            self._uses.append(Use(tuple(keys), asked_s, ready_s, self.now_s(), hits, late, foreseen))
        finally:
            for each in arrays:
                each.clear()  # a name that is still bound to it holds no memory
            with self._changed:
                self._ledger.let_go(keys)
                self._changed.notify_all()

    def preload(self, keys: Iterable[Key], priority: int = 0, *, instead: bool = False) -> None:
        """Have these read when nobody waits; `instead` of preloads asked for before that are not here.

        Args:
            keys: what is foreseen.
            priority: the lowest first; `DEMAND` by who is about to wait for them.
            instead: strike the others.

        Raises:
            InputError: nothing is stored under a key.
        """
        wanted = tuple(keys)
        with self._changed:
            if instead:
                self._ledger.forget(wanted)
            self._ledger.preload(wanted, priority)
            self._preloads.append(Preload(wanted, self.now_s(), priority, instead))
            self._changed.notify_all()

    def told(self) -> Told:
        """What it has done so far."""
        with self._changed:
            sizes = tuple((key, record.bytes) for key, record in self._tier.records.items())
            done = tuple(self._uses), tuple(self._reads), tuple(self._preloads)
            return Told(self._tier.figures, self._budget_bytes, sizes, *done, self._peak_bytes)

    def now_s(self) -> float:
        """Seconds since the store was opened."""
        return time.perf_counter() - self._begun_s

    def close(self) -> None:
        """Stop reading, and close the tier; a second time nothing happens.

        Raises:
            WorkError: a read does not come back.
        """
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for each in self._threads:
            each.join(END_S)
            if each.is_alive():
                raise WorkError("a read does not end", where=self._tier.figures.name)
        self._tier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._ended:
            raise WorkError("the store is closed", where=self._tier.figures.name)
        if self._broken:
            raise self._broken

    def _settled(self, key: Key) -> bool:
        return self._ledger.here(key) or key in self._faults

    def _read_on(self) -> None:
        """What a reader does until the store is closed; what ends it early reaches whoever waits."""
        try:
            while self._read_one():
                pass
        except BaseException as fault:
            with self._changed:
                self._broken = (
                    fault if isinstance(fault, ShoalError) else WorkError(f"a reader has ended: {fault!r}")
                )
                self._changed.notify_all()
            if not isinstance(fault, ShoalError):
                raise

    def _read_one(self) -> bool:
        """Wait for something to read, and read it; False at the end."""
        with self._changed:
            begun = None
            while not self._ended and (begun := self._ledger.begin()) is None:
                self._changed.wait()
            if begun is None:
                return False
            buffer = self._room_for(begun)
        self._read(begun, buffer)
        return True

    def _room_for(self, begun: Begun) -> mmap.mmap:
        if begun.done_bytes:
            return self._buffers.pop(begun.key)
        for each in begun.gone:
            self._pool.give(self._buffers.pop(each))
        buffer = self._pool.take(self._tier.records[begun.key].bytes)
        self._peak_bytes = max(self._peak_bytes, self._pool.mapped_bytes)
        return buffer

    def _read(self, begun: Begun, buffer: mmap.mmap) -> None:
        begun_s, done, fault = self.now_s(), begun.done_bytes, None
        try:
            done = self._filled(begun, buffer)
        except ShoalError as found:  # it is raised where somebody waits for the key
            fault = found
        with self._changed:
            if fault is None:
                self._buffers[begun.key] = buffer
                self._faults.pop(begun.key, None)
                whole, came = done == len(buffer), done - begun.done_bytes
                self._reads.append(Read(begun.key, came, begun_s, self.now_s(), begun.demanded, whole))
                if whole:
                    self._ledger.came(begun.key)
                else:
                    self._ledger.gave_way(begun.key, done)
            else:
                self._pool.give(buffer)
                self._ledger.failed(begun.key)
                self._faults[begun.key] = fault
            self._changed.notify_all()

    def _filled(self, begun: Begun, buffer: mmap.mmap) -> int:
        """Bytes that are there: all, or fewer where the record gives way to another."""
        into, record, done = memoryview(buffer), self._tier.records[begun.key], begun.done_bytes
        crc32, whole = zlib.crc32(into[:done]), False
        while done < record.bytes:
            with self._changed:
                if done > begun.done_bytes and self._ledger.overtaken(begun.key):
                    return done
                end = self._ledger.until(begun, done, self._tier.figures)
            self._tier.read(begun.key, into[done:end], done)
            whole = end - done == record.bytes  # the tier has looked at it
            crc32, done = crc32 if whole else zlib.crc32(into[done:end], crc32), end
        if not whole and crc32 != record.crc32:  # as one, it is the tier that says so, or has it from elsewhere
            self._tier.read(begun.key, into)
        return done

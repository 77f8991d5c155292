"""What an array of active messages is given: configuration, contents of memories, records; and how they are put together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shoal.errors import LimitError
from shoal.machines.nexus._sparse import Array, Floats, Ints
from shoal.machines.nexus._state import LAST, NEXT, PC, TO, VIA
from shoal.units import format_bytes

WORD_BYTES = 2


@dataclass(frozen=True)
class Entry:
    """An entry of the configuration, which is the same at every place."""

    does: int  # of those of the cycle loop
    then: int = 0  # the entry that the message turns into
    constant: float = 1.0  # by which it scales


@dataclass(frozen=True, eq=False)
class Records:
    """Messages that are known beforehand; all arrays have one element each."""

    place: Ints  # whose queue it waits in
    entry: Ints
    operand: Floats
    address: Ints  # at its first place
    result: Ints  # at its last place
    to: Ints  # (records, legs), the places in turn

    def order(self, places: int) -> Ints:
        """Those of a place together, in turns to the places where they go or send: so that none is asked by all at once."""
        onward = np.where(self.to[:, 0] != self.place, self.to[:, 0], self.to[:, min(1, self.to.shape[1] - 1)])
        pair = self.place * places + onward
        sorted_ = np.argsort(pair, kind="stable")
        starts = np.searchsorted(pair[sorted_], pair[sorted_])
        turn = np.empty_like(pair)
        turn[sorted_] = np.arange(len(pair)) - starts
        return np.lexsort(((onward - self.place) % places, turn, self.place))

    def table(self) -> Ints:
        """As the cycle loop takes them."""
        found = np.full((len(self.place), TO + self.to.shape[1]), -1, np.int64)
        found[:, PC], found[:, PC + 1], found[:, PC + 2], found[:, PC + 3] = (
            self.entry,
            self.address,
            self.result,
            0,
        )
        found[:, NEXT], found[:, LAST], found[:, VIA] = -1, -1, -1
        found[:, TO:] = self.to
        return found


@dataclass(eq=False)
class Memories:
    """Local memories that are being filled: a word of the loop holds an index and a value; what that is in 16 bits, is told."""

    places: int
    words: int  # of 16 bits, at each place
    used: Ints = field(init=False)  # of them
    loaded: int = 0  # of them, from outside
    slots: Ints = field(init=False)
    _index: list[list[Array]] = field(init=False)
    _value: list[list[Array]] = field(init=False)

    def __post_init__(self) -> None:
        self.used, self.slots = np.zeros(self.places, np.int64), np.zeros(self.places, np.int64)
        self._index, self._value = [[] for _ in range(self.places)], [[] for _ in range(self.places)]

    @property
    def room(self) -> Ints:
        """Words that are left at each place."""
        return self.words - self.used

    def put(
        self, tensor: str, place: int, value: Array, words: int, index: Array | None = None, load: bool = True
    ) -> int:
        """Append to a place's memory, of which it takes `words`; the address of the first.

        What is not to be loaded is there already, or nothing but zeros.

        Raises:
            LimitError: the place is full; it names the tensor.
        """
        if self.used[place] + words > self.words:
            raise LimitError("does not fit into a local memory", where=f"tensor '{tensor}', place {place}",
                             needed=format_bytes(int(self.used[place] + words) * WORD_BYTES),
                             had=format_bytes(self.words * WORD_BYTES))  # fmt: skip
        address = int(self.slots[place])
        self._value[place].append(np.asarray(value, np.float64))
        self._index[place].append(np.zeros(len(value), np.int64) if index is None else np.asarray(index, np.int64))
        self.used[place] += words
        self.loaded += words if load else 0
        self.slots[place] += len(value)
        return address

    def spread(self, tensor: str, owner: Ints, values: Array, words: int, load: bool = True) -> Ints:
        """Put each element at its owner, of `words` each; their addresses."""
        address = np.zeros(len(owner), np.int64)
        for place in range(self.places):
            mine = np.flatnonzero(owner == place)
            if len(mine):
                address[mine] = self.put(tensor, place, values[mine], words * len(mine), load=load) + np.arange(
                    len(mine)
                )
        return address

    def contents(self) -> tuple[Ints, Floats]:
        """Index and value of all words of all places."""
        most = max(1, int(self.slots.max()))
        index, value = np.zeros((self.places, most), np.int64), np.zeros((self.places, most))
        for place in range(self.places):
            if self.slots[place]:
                index[place, : self.slots[place]] = np.concatenate(self._index[place])
                value[place, : self.slots[place]] = np.concatenate(self._value[place])
        return index, value


@dataclass(frozen=True, eq=False)
class Program:
    """Batches of records run one after another, each when the array is idle again; memories stay."""

    entries: tuple[Entry, ...]
    memories: Memories
    batches: tuple[Records, ...]
    places: Ints  # of the results
    addresses: Ints
    legs: int
    result_words: int = 2  # of each


def check_total(tensors: dict[str, int], places: int, words: int) -> None:
    """Refuse what exceeds all local memories together.

    Args:
        tensors: 16-bit words of each.
        places: of the array.
        words: of a local memory.

    Raises:
        LimitError: it names the largest tensor, what is needed and what there is.
    """
    if sum(tensors.values()) > places * words:
        largest = max(tensors, key=lambda name: tensors[name])
        raise LimitError("does not fit into the local memories", where=f"tensor '{largest}'",
                         needed=format_bytes(sum(tensors.values()) * WORD_BYTES),
                         had=format_bytes(places * words * WORD_BYTES))  # fmt: skip

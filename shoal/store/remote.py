"""Records that another process offers, read over the network: the other end of `shoal.store.offer`."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from shoal import codec
from shoal.errors import InputError, ModelError, WireError
from shoal.store import _line
from shoal.store._line import Answer, Deadline, Kind
from shoal.store.file import MOST_INDEX, Index
from shoal.store.values import Key, Record, TierFigures
from shoal.wire.transports.tcp import TcpSockets

PATIENCE_S = 10.0
LEAST_BYTES_PER_S = 10_000.0  # who is slower than that counts as silent
Got = TypeVar("Got")


class RemoteTier:
    """A store at an address. Reads that are made at once go over connections of their own, which are kept.

    A connection that breaks is made again once; who is silent is not asked twice. After an error the tier can be read
    again.

    Args:
        address: "host:port" of a `shoal worker` that offers records.
        over: how it is reached, "tcp" with options of its transport.
        patience_s: how long it may say nothing.
        name: what reports call it.

    Raises:
        InputError: not an address, or one beyond this host without an identity.
        WireError: nobody offers records there, or says nothing.
        ModelError: the index came damaged.
    """

    def __init__(
        self, address: str, over: str = "tcp", *, patience_s: float = PATIENCE_S, name: str = "remote"
    ) -> None:
        self._address, self._patience_s, self._sockets = address, patience_s, _line.sockets(over)
        self._where = f"{name} at {address}"
        self._turn, self._closed = threading.Lock(), False
        self._idle: list[_Connection] = []
        index, self._index = self._asked(_listed, self._where)
        self.about = index.about
        self.records: Mapping[Key, Record] = {each.key: each for each in index.records}
        self.figures = TierFigures(name, size_bytes=sum(each.bytes for each in index.records), whole=True)

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`.

        Raises:
            WireError: nobody answers in time, or with something else; tier, address and key are named.
        """
        record = self.records[key]
        self._asked(lambda line: _fill(line, record, self._index, into), f"{self._where}, {key}")

    def close(self) -> None:
        """See `Tier`."""
        self._closed = True
        self._let_go()

    def _asked(self, do: Callable[[_Connection], Got], where: str) -> Got:
        """Do it over a free connection, once more over a new one if that breaks; errors say where."""
        try:
            try:
                return self._over_one(do)
            except _Broken:
                self._let_go()  # the others will hardly be better
                return self._over_one(do)
        except (WireError, ModelError) as fault:
            kind = ModelError if isinstance(fault, ModelError) else WireError
            raise kind(fault.what, where=where, needed=fault.needed, had=fault.had, hint=fault.hint) from fault

    def _over_one(self, do: Callable[[_Connection], Got]) -> Got:
        with self._turn:
            line = self._idle.pop() if self._idle else None
        line = line or _Connection(self._sockets, self._address, self._patience_s)
        try:
            got = do(line)
        except BaseException:  # what else would come over it is not known
            line.close()
            raise
        with self._turn:
            self._idle.append(line)
        if self._closed:
            self._let_go()
        return got

    def _let_go(self) -> None:
        with self._turn:
            while self._idle:
                self._idle.pop().close()


class _Broken(WireError):
    """A connection that has ended; another one may do."""


class _Connection:
    """One connection, for one ask at a time.

    Raises:
        InputError: not an address.
        WireError: it cannot be made, or the other end is nobody of our fleet; from every method: it is silent.
    """

    def __init__(self, sockets: TcpSockets, address: str, patience_s: float) -> None:
        self._patience_s = patience_s
        try:
            self._sock = sockets.dial(address)
        except OSError as fault:
            raise WireError(f"cannot be reached: {fault.strerror or fault}") from fault
        try:
            sockets.fellow(self._sock)
        except (OSError, WireError):
            self._sock.close()
            raise

    def deadline(self, size: int = 0) -> Deadline:
        """Of an answer of so many bytes."""
        return Deadline(self._patience_s, size, LEAST_BYTES_PER_S)

    def ask(self, kind: Kind, key: Key, deadline: Deadline) -> Answer:
        """The beginning of the answer."""
        with _faults(self._patience_s):
            deadline.set(self._sock)
            self._sock.sendall(_line.ask(kind, key))
        head = bytearray(_line.ANSWER.size)
        self.fill(memoryview(head), deadline)
        return _line.answered(bytes(head))

    def fill(self, memory: memoryview, deadline: Deadline) -> None:
        """What follows in the answer."""
        with _faults(self._patience_s):
            came = _line.fill(self._sock, memory, deadline)
        if came < len(memory):
            raise _Broken("ended in the middle of an answer")

    def grown(self, size: int, deadline: Deadline) -> bytes:
        """The same, with memory taken as it comes: an answer may promise more than ever follows."""
        came = bytearray()
        while len(came) < size:
            part = bytearray(min(size - len(came), _line.STEP_BYTES))
            self.fill(memoryview(part), deadline)
            came += part
        return bytes(came)

    def close(self) -> None:
        """End it."""
        self._sock.close()


@contextmanager
def _faults(patience_s: float) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except TimeoutError as fault:
        raise WireError("says nothing", had=f"{patience_s:g} s of silence, or too slow") from fault
    except OSError as fault:
        raise _Broken(f"the connection broke: {fault.strerror or fault}") from fault


def _listed(line: _Connection) -> tuple[Index, bytes]:
    """The index, and what names it."""
    answer = line.ask(Kind.INDEX, Key(0), line.deadline())
    if answer.size > MOST_INDEX:
        raise WireError("tells of an index that no store has", needed=f"at most {MOST_INDEX} bytes",
                        had=f"{answer.size}")  # fmt: skip
    listed = line.grown(answer.size, line.deadline(answer.size))
    if answer.kind is not Kind.INDEX or _line.digest(listed) != answer.store:
        raise ModelError("the index came damaged")
    try:
        index = codec.decode(Index, listed, "the index")
    except InputError as fault:
        raise WireError(f"tells of no store: {fault.message}") from fault
    if len({each.key for each in index.records}) < max(1, len(index.records)):
        raise WireError("tells of no store: a key comes twice, or there is none")
    return index, answer.store


def _fill(line: _Connection, record: Record, index: bytes, into: memoryview) -> None:
    """A record, checked before it is taken and after."""
    deadline = line.deadline(record.bytes)
    answer = line.ask(Kind.RECORD, record.key, deadline)
    if answer.store != index:
        raise WireError("another store is offered there by now", hint="open it again")
    if answer.kind in (Kind.DAMAGED, Kind.FAILED):
        said = line.grown(min(answer.size, _line.MOST_SAID_BYTES), deadline).decode(errors="replace")
        kind = ModelError if answer.kind is Kind.DAMAGED else WireError
        raise kind(f"cannot give it: {said}")
    if answer.kind is not Kind.RECORD or answer.size != record.bytes:
        raise WireError("sends a record of another size", needed=f"{record.bytes} bytes", had=f"{answer.size}")
    line.fill(into, deadline)
    if zlib.crc32(into) != record.crc32:
        raise ModelError("what came is not what was written", hint="write the store again, or look at the line")

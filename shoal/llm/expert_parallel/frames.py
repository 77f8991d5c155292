"""Arrays between processes: frames on stream sockets, read and written at once, so that nobody waits for a turn.

A frame is a head (magic, kind, arrays), a table of dtypes and shapes, and the arrays' bytes. All lengths are checked before
memory is taken. Every byte that goes out is counted.
"""

from __future__ import annotations

import math
import select
import socket
import struct
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError

MAGIC = b"shEP"
HEAD = struct.Struct("<4sHH")  # magic, kind, arrays
ENTRY = struct.Struct("<BB6x3Q")  # dtype, axes, sizes
DTYPES = tuple(map(np.dtype, ("<f4", "<f8", "<i4", "<i8", "|u1")))
MOST_AXES = 3
MOST_ARRAYS = 4096
MOST_BYTES = 4 << 30  # of a frame
Array = NDArray[Any]


class Frame(NamedTuple):
    """What is sent at once."""

    kind: int
    arrays: tuple[Array, ...]

    @property
    def bytes(self) -> int:
        """On the socket."""
        return HEAD.size + sum(ENTRY.size + each.nbytes for each in self.arrays)


class Gone(WireError):
    """A party's connection ended, or it says nothing any more."""

    def __init__(self, parties: Collection[int], why: str) -> None:
        super().__init__(f"party {', '.join(map(str, sorted(parties)))} {why}")
        self.parties = frozenset(parties)


class Line:
    """One end of a connection: what is still to be sent, and what is coming."""

    def __init__(self, party: int, sock: socket.socket, most_bytes: int = MOST_BYTES) -> None:
        sock.setblocking(False)
        self.party, self.sock, self.sent_bytes = party, sock, 0
        self._most_bytes = most_bytes
        self._out: deque[memoryview] = deque()
        self._came: deque[Frame] = deque()
        self._parts = self._reading()
        self._missing = next(self._parts)

    @property
    def busy(self) -> bool:
        """Whether there is something left to send."""
        return bool(self._out)

    def put(self, frame: Frame) -> None:
        """Send it in the next calls of `write`; arrays must stay as they are until then."""
        arrays = [np.ascontiguousarray(each) for each in frame.arrays]
        table = b"".join(ENTRY.pack(DTYPES.index(each.dtype), each.ndim, *_sizes(each)) for each in arrays)
        views = [memoryview(HEAD.pack(MAGIC, frame.kind, len(arrays)) + table)]
        views += [_bytes(each) for each in arrays if each.nbytes]
        self._out += views
        self.sent_bytes += sum(map(len, views))

    def write(self) -> None:
        """Send what the socket takes now.

        Raises:
            Gone: nobody is there.
        """
        try:
            while self._out:
                part = self._out.popleft()
                sent = self.sock.send(part)
                if sent < len(part):
                    self._out.appendleft(part[sent:])
        except BlockingIOError:
            self._out.appendleft(part)
        except OSError as fault:
            raise Gone([self.party], "left") from fault

    def read(self) -> Frame | None:
        """The next frame, if it is whole; takes in what has come.

        Raises:
            Gone: nobody is there.
            WireError: what comes is no frame, or too large a one.
        """
        if not self._came:
            self.take_in(1)
        return self._came.popleft() if self._came else None

    def take_in(self, most: int | None = None) -> None:
        """Take what has come out of the other side's way; of whole frames no more than `most`.

        Raises:
            Gone: nobody is there.
            WireError: what comes is no frame, or too large a one.
        """
        try:
            while most is None or len(self._came) < most:
                got = self.sock.recv_into(self._missing)
                if not got:
                    raise Gone([self.party], "left")
                self._missing = self._missing[got:] if got < len(self._missing) else next(self._parts)
        except BlockingIOError:
            return
        except ConnectionError as fault:
            raise Gone([self.party], "left") from fault

    def _reading(self) -> Iterator[memoryview]:
        """The memory to be filled next; a frame that is whole is put among those that came."""
        while True:
            head = bytearray(HEAD.size)
            yield memoryview(head)
            magic, kind, count = HEAD.unpack(head)
            if magic != MAGIC or count > MOST_ARRAYS:
                raise WireError("what comes is no frame of arrays", where=f"party {self.party}", had=repr(magic))
            table = bytearray(count * ENTRY.size)
            if count:
                yield memoryview(table)
            arrays = self._room(table)
            for each in arrays:
                if each.nbytes:
                    yield _bytes(each)
            self._came.append(Frame(kind, arrays))

    def _room(self, table: bytearray) -> tuple[Array, ...]:
        """Memory for the arrays of a table, if it is not too much."""
        shapes: list[tuple[np.dtype[Any], tuple[int, ...]]] = []
        for code, axes, *sizes in ENTRY.iter_unpack(table):
            if code >= len(DTYPES) or axes > MOST_AXES:
                raise WireError("what comes is no array", where=f"party {self.party}", had=f"{code}, {axes} axes")
            shapes.append((DTYPES[code], tuple(sizes[:axes])))
        size = sum(kind.itemsize * math.prod(shape) for kind, shape in shapes)
        if size > self._most_bytes:
            raise WireError("what comes is too large", where=f"party {self.party}",
                            needed=f"{self._most_bytes} bytes at most", had=str(size))  # fmt: skip
        return tuple(np.empty(shape, kind) for kind, shape in shapes)


def swap(
    lines: Mapping[int, Line], sent: Mapping[int, Frame], awaited: Collection[int], patience_s: float | None
) -> dict[int, Frame]:
    """Send frames, and what was put before and is left, and take one from each party awaited, all at once.

    Raises:
        Gone: a party left, or nothing moved for `patience_s`.
        WireError: what comes is no frame, or too large a one.
    """
    for to, frame in sent.items():
        lines[to].put(frame)
    came: dict[int, Frame] = {}
    while True:
        busy = {to for to, line in lines.items() if line.busy}
        waiting = set(awaited) - came.keys()
        for party in busy:
            lines[party].write()
            if lines[party].busy:  # it may not listen before it has spoken
                lines[party].take_in()
        came |= {party: found for party in waiting if (found := lines[party].read()) is not None}
        busy, waiting = {to for to in busy if lines[to].busy}, waiting - came.keys()
        if not busy and not waiting:
            return came
        _wait(lines, busy, waiting, patience_s)


def _wait(lines: Mapping[int, Line], busy: set[int], waiting: set[int], patience_s: float | None) -> None:
    poll = select.poll()
    for party in busy | waiting:
        poll.register(lines[party].sock, select.POLLIN | (select.POLLOUT if party in busy else 0))
    if not poll.poll(None if patience_s is None else 1e3 * patience_s):
        raise Gone(waiting or busy, f"said nothing for {patience_s:g} s")


def _bytes(array: Array) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)  # a buffer, which numpy's types do not say before Python 3.12
    return memoryview(flat)


def _sizes(array: Array) -> tuple[int, ...]:
    return (*array.shape, *(0,) * (MOST_AXES - array.ndim))

"""Buffers of whole pages under one limit, used again and again."""

from __future__ import annotations

import mmap

from shoal.errors import WorkError


class Pool:
    """Memory for records: never more than the limit is mapped, free buffers among it.

    A buffer of the size asked for is taken again; where there is none, free ones of other sizes go back to the system.
    Not for several threads at once.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._free: dict[int, list[mmap.mmap]] = {}
        self.mapped_bytes = 0

    def take(self, size: int) -> mmap.mmap:
        """A buffer of so many bytes, of any content; it begins with a page.

        Raises:
            WorkError: those in use leave no room; who keeps the books has not kept them.
        """
        if self._free.get(size):
            return self._free[size].pop()
        for others in self._free.values():
            while others and self.mapped_bytes + size > self._limit_bytes:
                self._unmap(others.pop())
        if self.mapped_bytes + size > self._limit_bytes:
            raise WorkError(
                "no buffer is free", needed=f"{size} bytes", had=f"{self._limit_bytes - self.mapped_bytes}"
            )
        self.mapped_bytes += size
        return mmap.mmap(-1, size)

    def give(self, buffer: mmap.mmap) -> None:
        """A buffer is not used any more."""
        self._free.setdefault(len(buffer), []).append(buffer)

    def close(self) -> None:
        """Give back what is free."""
        for buffers in self._free.values():
            while buffers:
                self._unmap(buffers.pop())

    def _unmap(self, buffer: mmap.mmap) -> None:
        self.mapped_bytes -= len(buffer)
        try:
            buffer.close()
        except BufferError as fault:
            raise WorkError(
                "an array is used after it was let go", hint="copy what is needed for longer"
            ) from fault

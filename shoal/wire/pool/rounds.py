"""Who has written what of a tensor in one round: the pool's decisions, without memory or sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from shoal.errors import WireError
from shoal.wire.pool.values import Shared


class Written(NamedTuple):
    """A range of a tensor, and where its writer has put it."""

    port: int
    start: int
    end: int
    at: int
    number_kind: int


@dataclass
class Round:
    """One tensor's present round."""

    tensor: Shared
    number: int = -1
    total: int = 0
    written: list[Written] = field(default_factory=list)

    def begin(self, number: int, total: int) -> None:
        """Someone writes to this round: a new one replaces the last.

        Raises:
            WireError: the round is over, or others write a tensor of another size.
        """
        if number < self.number:
            raise WireError("the round is over", where=f"'{self.tensor.name}'", had=f"{number}, now {self.number}")
        if number > self.number:
            if total > self.tensor.bytes:
                raise WireError("more than the tensor holds", where=f"'{self.tensor.name}'",
                                needed=f"{total} bytes", had=f"{self.tensor.bytes}")  # fmt: skip
            self.number, self.total, self.written = number, total, []
        if total != self.total:
            raise WireError("ports write tensors of unlike sizes", where=f"'{self.tensor.name}'",
                            had=f"{total} and {self.total} bytes")  # fmt: skip

    def add(self, new: Written) -> bool:
        """Count what is written; whether it is the first for its range.

        Raises:
            WireError: it lies beyond the tensor, or somebody else's way to cut or to write forbids it.
        """
        if not new.start <= new.end <= self.total:
            raise WireError(
                "written beyond the tensor", where=self._by(new), had=f"{new.end} of {self.total} bytes"
            )
        first = True
        for old in self.written:
            if max(old.start, new.start) >= min(old.end, new.end):
                continue
            if not self.tensor.adds or old.port == new.port:
                raise WireError(f"bytes {new.start} to {new.end} are port {old.port}'s already", where=self._by(new),
                                hint=None if self.tensor.adds else "only tensors that add have several writers")  # fmt: skip
            if (old.start, old.end, old.number_kind) != (new.start, new.end, new.number_kind):
                raise WireError(f"is cut otherwise than by port {old.port}", where=self._by(new))
            first = False
        self.written.append(new)
        return first

    def missing(self, number: int, writers: int) -> list[int]:
        """Which of these writers (bits) have not written all they have to in a round."""
        asked = [port for port in range(writers.bit_length()) if writers >> port & 1]
        if number != self.number:
            return asked if number > self.number else []
        sizes: dict[int, int] = {}
        for each in self.written:
            sizes[each.port] = sizes.get(each.port, 0) + each.end - each.start
        if self.tensor.adds:
            return [port for port in asked if port not in sizes or sizes[port] < self.total]
        return [port for port in asked if port not in sizes] or (asked if sum(sizes.values()) < self.total else [])

    def _by(self, new: Written) -> str:
        return f"port {new.port} in '{self.tensor.name}'"

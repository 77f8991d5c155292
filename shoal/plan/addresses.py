"""Where in memory tensors lie whose lives are known before a run: no two that live together share a byte.

First fit, the largest first, as in interval colouring. What memory does not hold goes to a slower one: first what costs
the least traffic there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.graph import Graph

ALIGNED = 64  # bytes


@dataclass(frozen=True)
class Life:
    """A tensor from the step that makes it to the one that reads it last, both included."""

    name: str
    bytes: int
    first: int
    last: int
    reads: int = 1

    def __post_init__(self) -> None:
        if self.bytes < 0 or self.last < self.first or self.reads < 0:
            raise InputError("a tensor ends no earlier than it begins", where=self.name, had=str(self))

    @property
    def room_bytes(self) -> int:
        """With what aligns the next one."""
        return -(-self.bytes // ALIGNED) * ALIGNED

    def meets(self, other: Life) -> bool:
        """Whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Addresses:
    """Where what lies."""

    at: Mapping[str, int]
    peak_bytes: int
    spilled: tuple[str, ...] = ()  # in the slower memory


def lives(graph: Graph) -> tuple[Life, ...]:
    """Of all tensors of a graph in its order, weights among them: these live from the first step to the last."""
    end = len(graph.ops)
    found = []
    for name, tensor in graph.tensors.items():
        readers = graph.consumers.get(name, ())
        first = graph.producer.get(name, 0)
        last = end if name in graph.finals else max((*readers, first))
        found.append(Life(name, tensor.bytes, first, last, len(readers)))
    users = [name for op in graph.ops for name in op.weights]
    found += [Life(name, each.bytes, 0, end, users.count(name)) for name, each in graph.weights.items()]
    return tuple(found)


def least_bytes(of: Sequence[Life]) -> int:
    """What no addresses go below: the most that lives at one step."""
    return max(
        (sum(each.room_bytes for each in of if each.first <= one.first <= each.last) for one in of), default=0
    )


def placed(of: Sequence[Life]) -> Addresses:
    """First fit, the largest first."""
    done: list[tuple[Life, int]] = []
    for each in sorted(of, key=lambda life: (-life.room_bytes, life.first, life.name)):
        at = 0
        for start, end in sorted((at, at + other.room_bytes) for other, at in done if other.meets(each)):
            if at + each.room_bytes <= start:
                break
            at = max(at, end)
        done.append((each, at))
    return Addresses({each.name: at for each, at in done},
                     max((at + each.room_bytes for each, at in done), default=0))  # fmt: skip


def placed_within(of: Sequence[Life], limit_bytes: int) -> Addresses:
    """The same within a limit: tensors of the least reads times bytes leave until the rest fits.

    Raises:
        InputError: there is no such memory.
    """
    if limit_bytes < 0:
        raise InputError("a memory of less than nothing", had=f"{limit_bytes} bytes")
    kept, spilled = sorted(of, key=lambda life: (life.reads * life.bytes, life.name)), list[str]()
    while (found := placed(kept)).peak_bytes > limit_bytes:
        spilled.append(kept.pop(0).name)
    return Addresses(found.at, found.peak_bytes, tuple(spilled))

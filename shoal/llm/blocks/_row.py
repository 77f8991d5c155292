"""A row of blocks as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from shoal.graph import Carried, Graph, Op, Tensor, Unwritten, Weight

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Held:
    """Weights of a block: a name that others may share, and bytes as they are stored."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Kept:
    """What a block keeps of the sequences of an item, in values: how much there is, and what one item moves of it."""

    shape: tuple[int, ...]
    read: int
    written: int


@dataclass
class Row:
    """Blocks, one after another; each reads the tensor of the one before."""

    dtype: str  # of activations and states
    at: Tensor  # what the next block reads
    ops: list[Op] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    carried: list[Carried] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors[self.at.name] = self.at

    def block(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...],
        macs: int,
        held: Sequence[Held],
        *,
        met_bytes: int | None = None,
        read_bytes: int | None = None,
        kept: Kept | None = None,
    ) -> None:
        """Add a block.

        Args:
            name: of the block and of what it gives.
            kind: of work.
            shape: of what it gives.
            macs: multiply-accumulates of one item.
            held: its weights.
            met_bytes: of these, what an item is expected to read; None: all.
            read_bytes: of what the block before gives; None: all.
            kept: of sequences.
        """
        given, made = self.at, Tensor(name, self.dtype, shape)
        self.weights |= {each.name: Weight(each.name, "uint8", (each.bytes,)) for each in held}
        stored = sum(each.bytes for each in held)
        states = self._states(name, kept) if kept else ()
        size = made.bytes // max(1, made.elements)
        self.ops.append(Op(
            name, kind, (given.name, *states[:1]), tuple(each.name for each in held), (name, *states[1:]), macs, stored,
            (given.bytes if read_bytes is None else read_bytes) + size * (kept.read if kept else 0),
            made.bytes + size * (kept.written if kept else 0),
            met_bytes=stored if met_bytes is None else met_bytes,
        ))  # fmt: skip
        self.tensors[name] = self.at = made

    def graph(self, name: str, source: str, sha256: str) -> Graph:
        """All of it; the last block's tensor is the answer."""
        return Graph(
            name, source, sha256, tuple(self.ops), self.tensors, self.weights, self.ops[0].inputs[:1], (self.at.name,),
            cast("ir.Model", Unwritten()), carried=tuple(self.carried),
        )  # fmt: skip

    def _states(self, name: str, kept: Kept) -> tuple[str, str]:
        before, after = f"{name}.kept", f"{name}.kept.next"
        self.tensors |= {each: Tensor(each, self.dtype, kept.shape) for each in (before, after)}
        self.carried.append(Carried(before, after))
        return before, after

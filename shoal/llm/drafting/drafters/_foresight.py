"""What drafters with a network have in common: they go along the text, then grow a tree after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from shoal.errors import InputError, ModelError
from shoal.llm.drafting.drafters._blocks import Blocks
from shoal.llm.drafting.drafters.contract import F16, Ask
from shoal.llm.drafting.growth import Nodes, drawn, grown
from shoal.llm.drafting.sampling import drawing
from shoal.llm.drafting.tree import F32, I32, ROOT, Tree
from shoal.train.language import Decoder

SHAPE = ("width", "layers", "heads", "hidden", "context", "vocabulary", "epsilon", "theta")  # kept in the file


class Net(Protocol):
    """A network that foresees the next token."""

    @property
    def blocks(self) -> Blocks:
        """Fresh ones, for one text."""

    def rows(self, ask: Ask) -> tuple[I32, F32]:
        """Tokens (n,) that the blocks have not seen, and what came with each (n, width)."""

    def inputs(self, tokens: I32, carried: F32) -> F32:
        """What the blocks read: (n, width)."""

    def logits(self, outputs: F32) -> F32:
        """(n, vocabulary), of what the blocks gave."""


class Foreseeing:
    """One text."""

    def __init__(self, net: Net, seed: int) -> None:
        self._net, self._blocks, self._draw = net, net.blocks, drawing(seed)
        self._last = np.zeros((1, 0), np.float32)  # what the blocks gave for the newest token
        self._slots: dict[int, int] = {}  # of the tree's tokens, where the blocks keep them
        self._carried: dict[int, F32] = {}

    def propose(self, ask: Ask) -> Tree:
        """See `Session`."""
        tokens, carried = self._net.rows(ask)
        if len(tokens):
            begin, count = self._blocks.length, len(tokens)
            seen = np.tri(count, begin + count, begin, dtype=bool)
            inputs = self._net.inputs(tokens, carried)
            self._last = self._blocks.run(inputs, np.arange(begin, begin + count), seen)[-1:]
        self._slots, self._carried = {}, {ROOT: self._last[0]}
        self._text = self._blocks.length
        first = self._net.logits(self._last)[0]
        if ask.temperature:
            found = drawn(first, self._expand, ask.budget, ask.temperature, self._draw)
        else:
            found = grown(first, self._expand, ask.budget)
        self._blocks.forget(self._text)
        return found

    def _expand(self, nodes: Nodes, chosen: list[int]) -> F32:
        begin, count = self._blocks.length, len(chosen)
        seen = np.zeros((count, begin + count), bool)
        seen[:, : self._text] = True
        places = np.zeros(count, np.intp)
        for row, node in enumerate(chosen):
            self._slots[node] = begin + row
            at, depth = node, 0
            while at != ROOT:
                seen[row, self._slots[at]] = True
                at, depth = nodes.parents[at], depth + 1
            places[row] = self._text + depth - 1
        tokens = np.array([nodes.tokens[node] for node in chosen], np.int32)
        carried = np.stack([self._carried[nodes.parents[node]] for node in chosen])
        outputs = self._blocks.run(self._net.inputs(tokens, carried), places, seen)
        self._carried.update(zip(chosen, outputs, strict=True))
        return self._net.logits(outputs)


class Featured:
    """A network that reads the target's features: how it goes along a text. The rest is `inputs` and `logits`."""

    def __init__(self, shape: Decoder, weights: Mapping[str, F32]) -> None:
        self._shape, self._weights = shape, weights
        self._begun = False

    @property
    def blocks(self) -> Blocks:
        """See `Net`."""
        return Blocks(self._weights, self._shape)

    def rows(self, ask: Ask) -> tuple[I32, F32]:
        """See `Net`. The first token of a text has no feature before it."""
        tokens = ask.tokens if self._begun else ask.tokens[1:]
        self._begun = True
        return tokens, ask.features.astype(np.float32)


@dataclass(frozen=True)
class Filed:
    """A drafter whose sizes and weights are in a file."""

    file: str = ""  # its weights, as what trained it wrote them

    @property
    def vocabulary(self) -> int:
        """See `Drafter`."""
        return self._read[0].vocabulary

    @property
    def width(self) -> int:
        """See `Drafter`."""
        return self._read[0].width

    def needed(self, weights: Collection[str]) -> Collection[str]:
        """What must be in the file beside the blocks, given what is."""
        raise NotImplementedError

    @cached_property
    def _read(self) -> tuple[Decoder, dict[str, F32]]:
        shape, weights = read(self.file)
        missing = sorted(set(self.needed(weights)) - set(weights))
        if missing:
            raise ModelError("not the file of such a drafter", where=self.file, needed=", ".join(missing))
        return shape, weights


def read(file: str) -> tuple[Decoder, dict[str, F32]]:
    """Sizes and weights of a network's file, as `shoal.llm.drafting.training` writes it.

    Raises:
        InputError: it cannot be read.
        ModelError: something is missing in it.
    """
    try:
        with np.load(Path(file), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the drafter: {fault}", where=file or "file=…") from fault
    missing = [name for name in SHAPE if name not in arrays]
    if missing:
        raise ModelError("not a drafter's file", where=file, needed=", ".join(missing))
    sizes = {name: arrays.pop(name).item() for name in SHAPE}
    shape = Decoder(**sizes)
    blocks = {name: size for name, size in shape.shapes().items() if name != "norm.weight"}
    for name, size in blocks.items():
        if name not in arrays or arrays[name].shape != size:
            raise ModelError("a drafter's weight is missing or of another shape", where=name, needed=str(size))
    return shape, {name: np.asarray(each, np.float32) for name, each in arrays.items()}


def no_features(count: int = 0) -> F16:
    """Of a drafter that reads none."""
    return np.zeros((count, 0), np.float16)

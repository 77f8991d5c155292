"""What the study of D²MoE works on: small trained models, their experts in bits that nest, and text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.llm.experts import Handle, blocks
from shoal.llm.library import transformers_module
from shoal.llm.offload.bit_router import BitRouter
from shoal.llm.offload.nested import InBits, Loading, in_bits
from shoal.llm.offload.nested_records import Copies, Experts, Planes, nested_experts, write_copies, write_planes
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.store import FileTier, Key, RoutingTrace

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PLACES = 128
I64 = NDArray[np.int64]
NAMES = ("gate_up_proj", "down_proj")


@dataclass(frozen=True, eq=False)
class Lab:
    """One model. `lab` makes it."""

    kind: str
    model: PreTrainedModel
    experts: Experts
    fitted_on: I64  # stretches of text that the model was trained on
    held: I64  # … that it was not
    learned: RoutingTrace  # routes of the first
    folder: Path

    def __str__(self) -> str:
        """Its name."""
        return self.kind

    def planes(self) -> Path:
        """The one file of all widths."""
        path = self.folder / f"{self.kind}-planes"
        if not path.exists():
            write_planes(self.experts, path)
        return path

    def copies(self) -> Path:
        """Its rival, each width for itself."""
        path = self.folder / f"{self.kind}-copies"
        if not path.exists():
            write_copies(self.experts, path)
        return path

    def bytes_of(self, path: Path, bits: int) -> int:
        """Of all experts' records that a width takes: the file's planes up to it, or its copy."""
        tier = FileTier(path)
        tier.close()
        nest = path == self.planes()
        return sum(
            record.bytes
            for key, record in tier.records.items()
            if (key.plane <= bits - 2 if nest else key.plane == bits)
        )

    def int8_bytes(self) -> int:
        """Of the experts in ordinary eight bits, a grid for each group of columns."""
        return self.bytes_of(self.copies(), 8)

    @contextmanager
    def rounded(self, matrices: dict[str, list[Tensor]]) -> Iterator[PreTrainedModel]:
        """The model with other matrices, by name and layer, for a while."""
        handle = Handle()
        try:
            for block, gate_up, down in zip(blocks(self.model), *(matrices[name] for name in NAMES), strict=True):
                block.set(handle, gate_up, down)
            yield self.model
        finally:
            handle.undo()

    @contextmanager
    def served(self, router: BitRouter, how: Loading, *, nest: bool = True) -> Iterator[InBits]:
        """The model with its experts in a file, for a while; "nest" or a copy for each width."""
        stacks = [getattr(block.experts, name) for block in blocks(self.model) for name in NAMES]
        values = [each.data for each in stacks]
        out = in_bits(
            self.model, self.planes() if nest else self.copies(), router, how, Planes() if nest else Copies()
        )
        try:
            yield out
        finally:
            out.undo()
            for each, value in zip(stacks, values, strict=True):
                each.data = value

    def stored(self, bits: int) -> dict[str, list[Tensor]]:
        """All matrices of the width, from the one file."""
        torch, layout = transformers_module("torch"), Planes()
        tier = FileTier(self.planes())
        found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
        try:
            for place, block in enumerate(blocks(self.model)):
                made: dict[str, list[Tensor]] = {name: [] for name in NAMES}
                for expert in range(block.count):
                    held = [_read(tier, key) for key in layout.keys(place, expert, bits)]
                    for name in NAMES:
                        _, rows, columns = getattr(block.experts, name).shape
                        made[name].append(
                            torch.from_numpy(layout.matrix(held, bits, name, (rows, columns)).matrix())
                        )
                for name in NAMES:
                    found[name].append(torch.stack(made[name]))
        finally:
            tier.close()
        return found


def lab(kind: str, fit_rows: int, held_rows: int, folder: Path) -> Lab:
    """Experts of a small trained model, fitted on text that it was trained on; text that it was not, to judge by."""
    from shoal.train.language import corpus, stretches

    model = tiny(kind).module()
    learned, held = (
        every[np.linspace(0, len(every) - 1, min(rows, len(every))).astype(int)]
        for every, rows in zip((stretches(text, PLACES).x for text in corpus()), (fit_rows, held_rows), strict=True)
    )
    model.set_experts_implementation("eager")
    return Lab(kind, model, nested_experts(model, learned), learned, held, recorded(model, learned), folder)


def loss_nats(model: PreTrainedModel, symbols: I64) -> float:
    """A symbol's, of stretches read whole."""
    torch = transformers_module("torch")
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(symbols), 16):
            given = torch.from_numpy(symbols[at : at + 16])
            logits = model(given[:, :-1], use_cache=False).logits
            total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), given[:, 1:].flatten())) * len(
                given
            )
    return total / len(symbols)


def _read(tier: FileTier, key: Key) -> dict[str, NDArray[np.generic]]:
    from mmap import mmap

    record = tier.records[key]
    buffer = mmap(-1, record.bytes)
    tier.read(key, memoryview(buffer))
    return record.views(memoryview(buffer))

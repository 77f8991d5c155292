"""Which part of which matrix a member has, by transformers' own plan of tensor parallelism.

A matrix cut by its outputs gives a part of them to whoever has the like part of the next one, which is cut by its inputs:
its products are added. [Shoeybi et al., "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model
Parallelism", arXiv 1909.08053, 2019]
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ModelError
from shoal.llm.offload.kept import Stored
from shoal.store import FileTier
from shoal.wire.collectives import even

if TYPE_CHECKING:
    from transformers import PreTrainedModel

F32 = NDArray[np.float32]
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
Way = Literal["outputs", "inputs", "gathered", "rows"]
WAYS: Mapping[str, Way] = {  # by the plan's words
    "colwise": "outputs", "rowwise": "inputs", "colwise_gather_output": "gathered", "colwise_rep": "gathered",
    "embedding_rowwise": "rows",
}  # fmt: skip
WHOLE = "replicated"  # how the plan's words begin for what everybody has


@dataclass(frozen=True)
class Cut:
    """How a module's matrix is cut: by its outputs, which may be gathered, by its inputs, or by an embedding's rows."""

    way: Way
    cuts: tuple[int, ...]  # member r has cuts[r] to cuts[r + 1]

    def spans(self, shape: tuple[int, ...], rank: int) -> list[tuple[int, int]]:
        """What a member has of a weight of this module, along each axis; a bias of sums is everybody's."""
        axis = 1 if self.way == "inputs" else 0
        mine = self.cuts[rank], self.cuts[rank + 1]
        return [mine if at == axis else (0, size) for at, size in enumerate(shape)]


def cut(model: PreTrainedModel, members: int) -> dict[str, Cut]:
    """Modules that are cut, by name; attention in whole heads, with the keys and values that they read.

    Raises:
        InputError: no members, or more than there are heads of keys and values.
        ModelError: the plan wants something else, as for experts, or there is none.
    """
    planned = list(_planned(model))
    heads: int = model.config.num_key_value_heads
    check_members(model.config.model_type, heads, members)
    found = {}
    for name, way in planned:
        module: Any = model.get_submodule(name)
        size: int = getattr(module, {"inputs": "in_features", "rows": "num_embeddings"}.get(way, "out_features"))
        attends = hasattr(model.get_submodule(name.rpartition(".")[0]), "head_dim")
        found[name] = Cut(way, even(size, members, size // heads if attends else 1))
    return found


def check_members(kind: str, heads: int, members: int) -> None:
    """Refuse groups that a model cannot be cut for.

    Raises:
        InputError: no members, or more than there are heads of keys and values.
    """
    if not 1 <= members <= heads:
        raise InputError("every member has heads of keys and values of its own", where=kind,
                         needed=f"1 to {heads} members", had=str(members))  # fmt: skip


def own(stored: Stored, cuts: Mapping[str, Cut], rank: int) -> dict[str, F32]:
    """A member's parts of all weights, by name; one record of the store at a time is in memory beside them.

    An embedding has a row of zeros more, for all that others have. A bias that is added to sums is the first member's.

    Raises:
        ModelError: the store is damaged.
        WorkError: it cannot be read.
    """
    found: dict[str, F32] = {}
    for name, start, rows in _read(stored):
        each = cuts.get(name.rpartition(".")[0])
        shape = tuple(stored.facts.shapes[name])
        spans = each.spans(shape, rank) if each else [(0, size) for size in shape]
        (first, end), *others = spans
        if name not in found:
            more = 1 if each and each.way == "rows" else 0
            found[name] = np.zeros([end - first + more, *(stop - begin for begin, stop in others)], np.float32)
        low, high = max(first, start), min(end, start + len(rows))
        others_bias = each is not None and each.way == "inputs" and len(shape) == 1 and rank > 0
        if low < high and not others_bias:
            columns = tuple(slice(*span) for span in others)
            found[name][low - first : high - first] = rows[(slice(low - start, high - start), *columns)]
    return found


def _planned(model: PreTrainedModel) -> Iterator[tuple[str, Way]]:
    plan: dict[str, str] = {
        EMBEDDING: "embedding_rowwise",
        HEAD: "colwise_gather_output",
        **(model.tp_plan or {}),
    }
    odd = sorted({word for word in plan.values() if word not in WAYS and not word.startswith(WHOLE)})
    if odd or len(plan) == 2:
        raise ModelError("no plan of transformers' that this can follow", where=model.config.model_type,
                         needed=", ".join(WAYS), had=", ".join(odd) or "none")  # fmt: skip
    for name, _ in model.named_modules():
        for pattern, word in plan.items():
            if fnmatchcase(name, pattern) and word in WAYS:
                yield name, WAYS[word]


def _read(stored: Stored) -> Iterator[tuple[str, int, F32]]:
    """Each weight, or some of its rows and which is the first; valid until the next."""
    tiled = {key: (name, start) for name, tiles in stored.laid.tiles.items()
             for key, start in zip(tiles.keys, tiles.starts, strict=False)}  # fmt: skip
    tier = FileTier(stored.path)
    try:
        for key, record in tier.records.items():
            held = mmap.mmap(-1, record.bytes)
            tier.read(key, memoryview(held))
            for part, rows in record.views(memoryview(held)).items():
                yield *tiled.get(key, (part, 0)), rows
    finally:
        tier.close()

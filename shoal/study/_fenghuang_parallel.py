"""A small model that processes have together, each its part of every matrix, against the model in one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from shoal.llm.offload.kept import stored_tiny
from shoal.llm.tensor_parallel import answers
from shoal.llm.tiny import tiny
from shoal.study import Bench, Finding, Shown, Table, words

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WAYS = ("pool", "ring", "direct")
PROMPT = b"The module defines a class that"
NEW = 16  # tokens


def parallel(members: str, bench: Bench) -> Iterator[Shown]:
    """Logits, text and bytes for each number of processes and each way to exchange."""
    model = tiny("llama")
    logits, given = _alone(model.module())
    stored, rows = stored_tiny(model), []
    off, same, largest = 0.0, True, max(map(abs, logits))
    for count in bench.each([int(each) for each in words(members)], "processes with parts of a model"):
        for way, told in zip(WAYS, answers(stored, tuple(PROMPT), count, WAYS, new=NEW), strict=True):
            off = max(off, float(np.abs(np.subtract(told.logits, logits)).max()))
            same &= told.given == given
            seconds = told.seconds[1:]
            rows.append((count, way, max(told.weight_bytes) / 1e6, max(told.sent_bytes) / 1e3 / len(told.seconds),
                         1e3 * sum(seconds) / len(seconds)))  # fmt: skip
    yield Finding("parallel", off, "measured", len(rows), why=f"logits reach {largest:.3g}")
    yield Finding("parallel_text", same, "measured", len(rows), why=f"{NEW} tokens")
    yield Table("A small model in parts", ("processes", "exchange", "weights of the fullest, MB", "sent at most, KB a step",
                                           "token, ms"), rows,
                note="where processes share cores, or are more than there are, time says nothing of the ways")  # fmt: skip


def _alone(model: PreTrainedModel) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """What one process answers."""
    import torch

    symbols = torch.tensor([list(PROMPT)])
    with torch.no_grad():
        logits = model(symbols, use_cache=False).logits[0, -1]
        given = model.generate(symbols, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False)[
            0, symbols.shape[1] :
        ]
    return tuple(logits.tolist()), tuple(given.tolist())

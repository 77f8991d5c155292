"""Greedy decoding by the kernels, beside the same numbers in float."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.study.contract import Finding, Shown, untestable
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from shoal.compress import Compressed
    from shoal.study._elutq_text import I64, Ground, Logits

F32 = NDArray[np.float32]
PROMPT = 32  # bytes
ENGINE = "native"


@dataclass(frozen=True, eq=False)
class Decoded:
    """Steps at which both had read the same: whether they said the same, and how near the two likeliest were."""

    same: NDArray[np.bool_]  # (prompts, steps)
    leads: F32  # the reference's likeliest logit over its second
    apart: F32  # the largest difference of a logit


def greedy(ours: Logits, reference: Logits, prompts: I64, places: int, steps: int) -> Decoded:
    """The reference decodes greedily from (n, PROMPT) prompts; both are asked before each step."""
    symbols = np.zeros((len(prompts), places), np.int64)
    symbols[:, : prompts.shape[1]] = prompts
    same, leads, apart = [], [], []
    for at in range(prompts.shape[1], prompts.shape[1] + steps):
        own, other = (np.asarray(each(symbols))[:, at - 1] for each in (ours, reference))
        symbols[:, at] = other.argmax(axis=-1)
        same.append(own.argmax(axis=-1) == symbols[:, at])
        second, first = np.partition(other, -2, axis=-1)[:, -2:].T
        leads.append(first - second)
        apart.append(np.abs(own - other).max(axis=-1))
    return Decoded(np.stack(same, axis=1), np.stack(leads, axis=1), np.stack(apart, axis=1))


def decoded(ground: Ground, made: Compressed, group: int, prompts: int, steps: int) -> Iterator[Shown]:
    """What the kernels decode, against torch with activations in int8 as the kernels have them, and in float32."""
    ours = ground.answering(made.model, ENGINE)
    chosen = np.linspace(0, len(ground.held.x) - 1, prompts).astype(int)
    starts = ground.held.x[chosen, :PROMPT]
    for key, own in (("greedy", group), ("greedy_float", 0)):
        try:
            parts = torch_module("shoal.study._elutq_fake")
        except MissingExtra as fault:
            yield untestable(key, fault.message)
            continue
        reference = parts.fake(ground.decoder, ground.weights, stored(made), own)
        yield _finding(key, greedy(ours, reference, starts, ground.decoder.context, steps))


def stored(made: Compressed) -> Mapping[str, F32]:
    """What is stored of each layer, decoded, by its op."""
    from shoal.graph import decode
    from shoal.graph.tidy import label

    nodes = {label(node): node for node in made.model.graph}
    found = {}
    for layer in made.layers:
        weight = nodes[layer.op].inputs[1]
        source = None if weight is None else weight.producer()
        assert source is not None
        found[layer.op] = decode.packed_of(source).matrix
    return found


def _finding(key: str, found: Decoded) -> Finding:
    whole = int(found.same.all(axis=1).sum())
    why = f"{whole} of {len(found.same)} texts alike to the end; logits at most {found.apart.max():.2g} apart"
    if not found.same.all():
        leads = found.leads[~found.same]
        why += f"; where not alike, the likeliest led by {leads.min():.2g} to {leads.max():.2g}"
    return Finding(key, 100 * float(found.same.mean()), "measured", found.same.size, why=f"{why}; n: bytes")

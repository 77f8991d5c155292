"""Choices of experts that a trained network made, replayed: what fetching weights costs in either order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shoal.machines.edge_moe import Chosen, loads
from shoal.study._edge_moe_trained import TINY
from shoal.study.contract import Finding, Shown, Table

WEIGHT_BYTES = 2


def replayed(chosen: Sequence[Chosen]) -> Iterator[Shown]:
    """Of each task's layers: (images, tokens, experts of a token)."""
    found = [[loads(image) for image in layer] for layer in chosen]
    everything = [each for layer in found for each in layer]
    ratios = [each.by_token / each.by_expert for each in everything]
    law = [
        ratio == TINY.tokens * TINY.chosen / each.by_expert for ratio, each in zip(ratios, everything, strict=True)
    ]
    empty = sum(each.by_expert < TINY.experts for each in everything)
    yield Finding("traffic", min(ratios), "simulated", len(ratios), (min(ratios), max(ratios)),
                  f"interval: all images and layers; {100 * empty / len(ratios):.0f} % leave an expert empty")  # fmt: skip
    yield Finding("traffic_law", all(law), "simulated", len(law))
    expert_kb = WEIGHT_BYTES * TINY.expert_weights / 1e3
    rows = []
    for number, layer in enumerate(found):
        task, place = divmod(number, len(found) // 2)
        mean = [
            np.mean([getattr(each, name) for each in layer]) for name in ("by_expert", "by_token_kept", "by_token")
        ]
        rows.append((("class", "turn")[task], 2 * place + 1, *(float(each) * expert_kb for each in mean)))
    yield Table("Weights of experts fetched for an image, mean", (
        "task", "layer", "expert by expert, KB", "token by token, two kept, KB", "token by token, KB"), rows,
        note="two kept: what is in one of the two buffers is not fetched again")  # fmt: skip

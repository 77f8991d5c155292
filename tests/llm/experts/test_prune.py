"""Fewer experts: which go, and that the router does as if their logits were −∞."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from shoal.errors import InputError
from shoal.llm.experts import blocks, judged, seen
from shoal.llm.experts.prune import Prune
from shoal.llm.experts.trim import Trim
from shoal.train.language import Stretches


def test_the_least_used_go(model: Any, learned: Stretches, held: Stretches) -> None:
    mass = [each.mass(8) for each in seen(model, learned.x)]
    rows = [each.router.weight.detach().clone() for each in blocks(model)]
    bytes_before = judged(model, held).resident_bytes
    Prune(count=3).apply(model, learned.x)
    for each, known, before in zip(blocks(model), mass, rows, strict=True):
        stay = sorted(known.argsort()[3:].tolist())
        assert torch.equal(each.router.weight, before[stay])
        assert each.count == 5
    assert judged(model, held).resident_bytes == pytest.approx(bytes_before * 5 / 8)


def test_a_router_without_rows_chooses_as_with_logits_of_minus_infinity(model: Any, learned: Stretches) -> None:
    before = seen(model, learned.x)[0]
    Prune(count=2).apply(model, learned.x)
    gone = before.mass(8).argsort()[:2]
    stay = torch.tensor([at for at in range(8) if at not in gone.tolist()])
    weights, chosen = before.logits.index_fill(1, gone, float("-inf")).softmax(-1).topk(2, -1)
    after = seen(model, learned.x)[0]
    assert torch.equal(stay[after.chosen], chosen)
    torch.testing.assert_close(after.weights, weights / weights.sum(-1, keepdim=True))


def test_no_other_pair_is_missed_less(model: Any, learned: Stretches) -> None:
    """Against the layer itself, run with each pair's rows struck out."""
    block, known = blocks(model)[0], seen(model, learned.x)[0]
    whole = block.experts(known.inputs, known.chosen, known.weights)

    def missed(gone: tuple[int, ...]) -> float:
        weights, chosen = known.logits.index_fill(1, torch.tensor(gone), float("-inf")).softmax(-1).topk(2, -1)
        found = block.experts(known.inputs, chosen, weights / weights.sum(-1, keepdim=True))
        return float((found - whole).detach().square().sum())

    best = min(combinations(range(8), 2), key=missed)
    rows = block.router.weight.detach().clone()
    Prune(count=2, by="loss").apply(model, learned.x)
    assert torch.equal(block.router.weight, rows[[at for at in range(8) if at not in best]])


def test_one_after_another_where_subsets_are_many(model: Any, learned: Stretches) -> None:
    Prune(count=2, by="loss", subsets=1).apply(model, learned.x)
    assert [each.count for each in blocks(model)] == [6] * 4


def test_random_ones_follow_their_seed(model: Any, learned: Stretches) -> None:
    found = []
    for seed in (0, 0, 1):
        handle = Prune(by="random", seed=seed).apply(model, learned.x)
        found.append(torch.stack([each.router.weight for each in blocks(model)]))
        handle.undo()
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_neurons_that_add_nothing_go_first(model: Any, learned: Stretches, held: Stretches) -> None:
    """A quarter of them is made idle: by a gate that is never open, or a column of zeros."""
    for each in blocks(model):
        each.experts.gate_up_proj.data[:, 3:11] = 0
        each.experts.down_proj.data[:, :, 40:48] = 0
    before = judged(model, held)
    Trim(share=0.25).apply(model, learned.x)
    after = judged(model, held)
    assert after.loss_nats == pytest.approx(before.loss_nats, abs=1e-5)
    assert after.resident_bytes == 0.75 * before.resident_bytes
    assert after.macs == 0.75 * before.macs


def test_no_share_is_refused(model: Any, learned: Stretches) -> None:
    with pytest.raises(InputError, match="a share from 0 up to 1"):
        Trim(share=1.0).apply(model, learned.x)


def test_as_many_stay_as_a_token_meets(model: Any, learned: Stretches) -> None:
    with pytest.raises(InputError, match="too many experts would go"):
        Prune(count=7).apply(model, learned.x)

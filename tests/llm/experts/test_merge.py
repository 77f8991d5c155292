"""Experts put together: twins lose nothing, shuffled neurons come back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shoal.errors import InputError
from shoal.llm.experts import blocks, judged
from shoal.llm.experts._aligned import aligned
from shoal.llm.experts.merge import Merge
from shoal.train.language import Stretches


def test_neurons_that_were_shuffled_come_back(model: Any) -> None:
    experts = blocks(model)[0].experts
    gate_up, down = experts.gate_up_proj[0].detach(), experts.down_proj[0].detach()
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = gate_up[torch.cat([order, order + 64])], down[:, order]
    found = aligned(*shuffled, (gate_up, down))
    assert torch.equal(found[0], gate_up)
    assert torch.equal(found[1], down)


def test_twins_become_one_and_nothing_changes(model: Any, learned: Stretches, held: Stretches) -> None:
    """Expert 7 becomes expert 2 with its neurons shuffled, and is asked for alike."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for each in blocks(model):
        each.experts.gate_up_proj.data[7] = each.experts.gate_up_proj.data[2][torch.cat([order, order + 64])]
        each.experts.down_proj.data[7] = each.experts.down_proj.data[2][:, order]
        each.router.weight.data[7] = each.router.weight.data[2]
    before = judged(model, held)
    Merge(count=1).apply(model, learned.x)
    after = judged(model, held)
    assert [each.count for each in blocks(model)] == [7] * 4
    assert after.loss_nats == pytest.approx(before.loss_nats, abs=1e-5)
    assert after.resident_bytes == pytest.approx(before.resident_bytes * 7 / 8)
    assert after.products < before.products  # a token that asked for both goes through it once


def test_all_into_one(model: Any, learned: Stretches, held: Stretches) -> None:
    Merge(count=7, align=False).apply(model, learned.x)
    assert judged(model, held).products == 4


@pytest.mark.parametrize("count", [-1, 8])
def test_as_many_as_there_cannot_be(model: Any, learned: Stretches, count: int) -> None:
    with pytest.raises(InputError, match="so many experts cannot be merged away"):
        Merge(count=count).apply(model, learned.x)

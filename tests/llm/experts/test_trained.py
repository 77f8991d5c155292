"""Experts that are taught what others gave."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import InputError
from shoal.llm.experts import blocks, judged
from shoal.llm.experts.dense import Dense
from shoal.llm.experts.distil import Distil
from shoal.llm.experts.prune import Prune
from shoal.train.language import Stretches


def test_what_is_taught_is_nearer_than_what_is_not(model: Any, learned: Stretches) -> None:
    handle = Prune(count=3).apply(model, learned.x)
    plain = judged(model, learned)
    handle.undo()
    Distil(count=3, steps=40).apply(model, learned.x)
    taught = judged(model, learned)
    assert taught.loss_nats < plain.loss_nats
    assert taught.resident_bytes == plain.resident_bytes


def test_one_product_is_as_wide_as_what_a_token_met(model: Any, learned: Stretches) -> None:
    whole = judged(model, learned)
    handle = Dense(steps=1, rate=1e-9).apply(model, learned.x)
    begun = judged(model, learned)
    handle.undo()
    Dense(steps=60).apply(model, learned.x)
    found = judged(model, learned)
    assert [tuple(each.experts.down_proj.shape) for each in blocks(model)] == [(1, 128, 128)] * 4
    assert found.resident_bytes == whole.resident_bytes / 4
    assert found.macs == whole.macs
    assert found.products == 4
    assert whole.loss_nats < found.loss_nats < begun.loss_nats


def test_a_base_that_leaves_no_experts(model: Any, learned: Stretches) -> None:
    with pytest.raises(InputError, match="leaves no experts to teach"):
        Distil(base="dense").apply(model, learned.x)
    with pytest.raises(InputError, match="no training without a step"):
        Dense(steps=0).apply(model, learned.x)

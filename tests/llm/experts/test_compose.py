"""Techniques together: what goes, what does not, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shoal.errors import InputError
from shoal.llm.experts import blocks, judged, together
from shoal.llm.experts.dense import Dense
from shoal.llm.experts.merge import Merge
from shoal.llm.experts.prune import Prune
from shoal.llm.experts.quantise import Quantise
from shoal.llm.experts.skip_second import SkipSecond
from shoal.train.language import Stretches


def test_bytes_and_work_multiply(model: Any, learned: Stretches, held: Stretches) -> None:
    whole = judged(model, held)
    handle = together(model, {"prune": Prune(), "quantise": Quantise(), "skip": SkipSecond()}, learned.x)
    found = judged(model, held)
    assert found.resident_bytes == pytest.approx(whole.resident_bytes * 0.75 * 4.5 / 16)
    assert found.products < 0.9 * whole.products
    handle.undo()
    after = judged(model, held)
    assert (after.loss_nats, after.resident_bytes, after.products) == (
        whole.loss_nats,
        whole.resident_bytes,
        whole.products,
    )


def test_what_settles_the_same_is_refused_with_the_reason(model: Any, learned: Stretches) -> None:
    weights = [each.router.weight for each in blocks(model)]
    with pytest.raises(InputError, match=r"'prune' and 'merge' do not go together: .* which experts there are"):
        together(model, {"prune": Prune(), "merge": Merge()}, learned.x)
    with pytest.raises(InputError, match=r"'skip' and 'dense' do not go together: .* how many a token meets"):
        together(model, {"skip": SkipSecond(), "dense": Dense()}, learned.x)
    assert all(each.router.weight is before for each, before in zip(blocks(model), weights, strict=True))


def test_what_fails_half_way_is_undone(model: Any, learned: Stretches) -> None:
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(InputError, match="no number format"):
        together(model, {"prune": Prune(), "quantise": Quantise("int99q")}, learned.x)
    assert [each.count for each in blocks(model)] == [8] * 4
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())

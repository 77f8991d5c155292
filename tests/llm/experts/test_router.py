"""Fewer experts a token, and experts in another order."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shoal.errors import InputError
from shoal.llm.experts import judged, seen
from shoal.llm.experts.dynamic_k import DynamicK
from shoal.llm.experts.reorder import Reorder
from shoal.llm.experts.skip_second import SkipSecond
from shoal.train.language import Stretches


def test_half_of_the_tokens_skip(model: Any, learned: Stretches) -> None:
    """β is the median of the calibration as the whole model sees it: the first layer's, which nothing changes."""
    before = seen(model, learned.x)[0]
    SkipSecond().apply(model, learned.x)
    after = seen(model, learned.x)[0]
    skipped = after.chosen[:, 1] == 8
    assert float(skipped.float().mean()) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(after.chosen[:, 0], before.chosen[:, 0])
    torch.testing.assert_close(after.weights.sum(-1), before.weights.sum(-1))
    ratio = before.weights[:, 1] / before.weights[:, 0]
    assert float(ratio[skipped].max()) <= float(ratio[~skipped].min())


def test_what_is_skipped_is_not_multiplied(model: Any, learned: Stretches, held: Stretches) -> None:
    whole = judged(model, held)
    SkipSecond(share=1.0).apply(model, learned.x)
    found = judged(model, held)
    assert found.products < 0.55 * whole.products
    assert found.macs / whole.macs == pytest.approx(found.products / whole.products)


@pytest.mark.parametrize("enough", [0.0, 0.4, 1.0])
def test_the_fewest_that_are_enough(model: Any, learned: Stretches, enough: float) -> None:
    before = seen(model, learned.x)[0]
    DynamicK(enough=enough).apply(model, learned.x)
    after = seen(model, learned.x)[0]
    first = before.logits.softmax(-1).max(-1).values
    wanted = torch.where(first >= enough, 1, 2)
    assert torch.equal((after.chosen < 8).sum(-1), wanted)
    torch.testing.assert_close(after.weights.sum(-1), before.weights.sum(-1))


def test_the_busiest_is_the_first(model: Any, learned: Stretches) -> None:
    Reorder().apply(model, learned.x)
    for each in seen(model, learned.x):
        mass = each.mass(8)
        assert (mass[:-1] >= mass[1:] - 1e-3).all()


def test_no_shares_are_refused(model: Any, learned: Stretches) -> None:
    for technique in (SkipSecond(share=1.5), DynamicK(enough=-0.1)):
        with pytest.raises(InputError, match="a share from 0 to 1 is needed"):
            technique.apply(model, learned.x)

"""Decoders that a composition is held against, and the loss of what follows a prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.llm.composition.texts import Text
from shoal.llm.composition.trained import (
    RECIPE,
    SMALL,
    as_large,
    continued,
    held_out,
    mixed,
    size,
    trained,
    wider,
)
from shoal.train.language import Decoder, losses, runner

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.mark.parametrize("experts", [1, 2, 6, 8, 10])
def test_one_as_large_as_all_is_no_smaller_and_hardly_larger(experts: int) -> None:
    large = as_large(experts)
    narrower = large.width - 2 * SMALL.heads
    assert size(large) >= experts * size(SMALL)
    assert experts == 1 or size(replace(SMALL, width=narrower, hidden=2 * narrower)) < experts * size(SMALL)
    assert (large.layers, large.heads, large.context) == (SMALL.layers, SMALL.heads, SMALL.context)
    assert wider(RECIPE, large).rate == pytest.approx(RECIPE.rate * (SMALL.width / large.width) ** 0.5)


def test_loss_after_a_prompt_is_that_of_the_places_after_it() -> None:
    from shoal.llm.tiny._learn import answering

    decoder = Decoder(width=16, layers=1, heads=2, hidden=24, context=SMALL.context)
    text = np.random.default_rng(0).integers(0, 256, 2000).astype(np.uint8)
    model = trained(text, replace(RECIPE, steps=1, batch=2), decoder)
    of = held_out(Text(text, text), 3)
    assert len(of.x) == 3
    whole = losses(runner(answering(model.module())), of)
    np.testing.assert_allclose(continued(model, of, 1), whole)
    logits = np.asarray(runner(answering(model.module()))(of.x), np.float64)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    last = -np.log(shares[np.arange(3), -1, of.y[:, -1]])
    np.testing.assert_allclose(continued(model, of, SMALL.context), last, rtol=1e-6)


def test_every_kind_is_as_much_of_the_mixture() -> None:
    few, many = np.full(10, 1, np.uint8), np.full(40, 2, np.uint8)
    found = mixed({"few": Text(few, few), "many": Text(many, many)})
    assert [int((found == kind).sum()) for kind in (1, 2)] == [40, 40]

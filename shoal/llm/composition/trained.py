"""A small decoder trained on one kind of text, or on all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shoal.llm.composition.texts import Text
from shoal.llm.tiny import Tiny
from shoal.llm.tiny.llama import llama
from shoal.train.language import Decoder, built_decoder, fit_language, losses, parameters, runner, stretches
from shoal.train.recipe import Recipe

U8 = NDArray[np.uint8]
SMALL = Decoder(width=32, layers=1, heads=2, hidden=64)  # so small that one is not enough for all kinds
RECIPE = Recipe(steps=800, batch=16, optimiser="adamw", rate=8e-3, decay=0.1, warmup=0.05, clip=1.0)


def trained(text: U8, recipe: Recipe = RECIPE, decoder: Decoder = SMALL) -> Tiny:
    """A decoder that has learned a text.

    Raises:
        MissingExtra: torch is not installed.
        InputError: the text is shorter than a stretch.
    """
    made = built_decoder(decoder, recipe.seed)
    fit_language(made, text, recipe)
    return llama(decoder, parameters(made))


def mixed(texts: Mapping[str, Text]) -> U8:
    """What a model for all kinds learns from: as much of each, the shorter ones again and again."""
    most = max(len(each.learned) for each in texts.values())
    return np.concatenate([np.resize(each.learned, most) for each in texts.values()])


def loss(model: Tiny, held: U8, most: int = 64) -> float:
    """Mean cross-entropy of a byte that follows, in nats, over so many stretches at most."""
    from shoal.llm.tiny._learn import answering

    found = stretches(held[: most * SMALL.context + 1], SMALL.context)
    return float(losses(runner(answering(model.module())), found).mean())

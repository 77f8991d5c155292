"""Small decoders trained on one kind of text, or on all of them, and what they say of text held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from shoal.llm.composition.texts import Text
from shoal.llm.tiny import Tiny
from shoal.llm.tiny.llama import llama
from shoal.train.language import (
    Decoder,
    Stretches,
    built_decoder,
    fit_language,
    losses,
    parameters,
    runner,
    stretches,
)
from shoal.train.recipe import Recipe

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
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


def size(decoder: Decoder) -> int:
    """Parameters."""
    return sum(map(prod, decoder.shapes().values()))


def as_large(experts: int, decoder: Decoder = SMALL) -> Decoder:
    """The narrowest decoder of that form that has no fewer parameters than so many experts together."""
    grown = decoder
    while size(grown) < experts * size(decoder):
        width = grown.width + 2 * decoder.heads
        grown = replace(decoder, width=width, hidden=decoder.hidden * width // decoder.width)
    return grown


def wider(recipe: Recipe, decoder: Decoder) -> Recipe:
    """For a decoder wider than `SMALL`: its rate falls as the root of the width grows."""
    return replace(recipe, rate=recipe.rate * (SMALL.width / decoder.width) ** 0.5)


def held_out(text: Text, most: int) -> Stretches:
    """So many stretches at most of what nobody has learned from."""
    return stretches(text.held[: most * SMALL.context + 1], SMALL.context)


def continued(model: Tiny, of: Stretches, prompt: int) -> F64:
    """Of each stretch, (n,): the mean cross-entropy of the bytes after a prompt that it begins with, in nats."""
    from shoal.llm.tiny._learn import answering

    run, after = runner(answering(model.module())), prompt - 1  # what stands there foresees the first byte after it
    return losses(lambda symbols: run(symbols)[:, after:], Stretches(of.x, of.y[:, after:]))

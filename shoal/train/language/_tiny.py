"""The decoder that comes with shoal: trained once, by `python -m shoal.train.language FILE`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.train.language._kept import keep, kept
from shoal.train.language.decoder import Decoder
from shoal.train.recipe import Recipe

if TYPE_CHECKING:
    from shoal.train.language.decoder import F32

FILE = "tiny.safetensors"
SHA256 = "2d90d59dbb2e4d8285306f5e7107bcab807edb3c36e0d88410454d4b9332e75f"
SHAPE = Decoder()
RECIPE = Recipe(steps=2000, batch=16, optimiser="adamw", rate=3e-3, decay=0.1, warmup=0.05, clip=1.0)


@lru_cache(maxsize=1)
def tiny() -> tuple[Decoder, dict[str, F32]]:
    """The decoder's shape and weights, kept as float16.

    Raises:
        MissingExtra: safetensors is not installed.
        ModelError: the file is not the one that came with shoal.
    """
    return SHAPE, kept("shoal.train.language", FILE, SHA256)


def make(path: Path, recipe: Recipe = RECIPE) -> str:
    """Train it and write its weights; what it then reaches on text that it has not seen, in words."""
    from shoal.train.language.corpus import corpus
    from shoal.train.language.learn import (
        built_decoder,
        fit_language,
        parameters,
        perplexity,
        runner,
        stretches,
    )

    learned, held = corpus()
    model = built_decoder(SHAPE, recipe.seed)
    fitted = fit_language(model, learned, recipe, arm="tiny")
    checksum = keep(parameters(model), path)
    found = perplexity(runner(model), stretches(held, SHAPE.context))
    return f"{fitted.duration_s:.0f} s; perplexity a byte {found:.3f}; {checksum}"

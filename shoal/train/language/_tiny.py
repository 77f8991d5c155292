"""The decoder that comes with shoal: trained once, by `python -m shoal.train.language FILE`."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import MissingExtra, ModelError
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
    try:
        from safetensors.numpy import load
    except ImportError as fault:
        raise MissingExtra("safetensors", "train") from fault
    content = (files("shoal.train.language") / FILE).read_bytes()
    had = hashlib.sha256(content).hexdigest()
    if had != SHA256:
        raise ModelError("the tiny decoder's weights are damaged", where=FILE, needed=SHA256, had=had,
                         hint="install shoal again")  # fmt: skip
    return SHAPE, {name: each.astype(np.float32) for name, each in load(content).items()}


def make(path: Path, recipe: Recipe = RECIPE) -> str:
    """Train it and write its weights; what it then reaches on text that it has not seen, in words."""
    from safetensors.numpy import save_file

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
    save_file({name: each.astype(np.float16) for name, each in parameters(model).items()}, path)
    found = perplexity(runner(model), stretches(held, SHAPE.context))
    return (
        f"{fitted.duration_s:.0f} s; perplexity a byte {found:.3f}; {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )

"""Small language models on real text: their shape, their training, the same model as ONNX."""

from shoal.train.language._kept import keep, kept
from shoal.train.language._tiny import tiny
from shoal.train.language.corpus import corpus, docstrings
from shoal.train.language.decoder import Decoder
from shoal.train.language.learn import (
    Stretches,
    built_decoder,
    fit_language,
    losses,
    parameters,
    perplexity,
    runner,
    stretches,
)
from shoal.train.language.model import save_language

__all__ = [
    "Decoder",
    "Stretches",
    "built_decoder",
    "corpus",
    "docstrings",
    "fit_language",
    "keep",
    "kept",
    "losses",
    "parameters",
    "perplexity",
    "runner",
    "save_language",
    "stretches",
    "tiny",
]

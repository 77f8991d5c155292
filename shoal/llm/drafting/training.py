"""Drafters are trained for a target: a small model on the same text, or a head on the target's features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shoal import cache, codec
from shoal.errors import ModelError
from shoal.train import Recipe
from shoal.train.fit import fit, seeded
from shoal.train.language import Decoder, built_decoder, corpus, fit_language, parameters, stretches
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.drafting.tree import F32

KIND, VERSION = "drafters", 1  # raise it when the same settings give other weights
FILE = "drafter.npz"
RECIPE = Recipe(steps=400, batch=8, optimiser="adamw", rate=3e-3, warmup=0.05, clip=0.5)


@dataclass(frozen=True)
class Course:
    """What is trained, and how.

    `small` is a decoder of its own; `gate` and `linear` are heads, fused by DGF's gate or by one matrix.
    """

    kind: Literal["small", "gate", "linear"]
    layers: int = 1  # blocks
    heads: int = 6  # of their attention
    hidden: int = 512  # of their gated products
    width: int = 128  # of a small model; a head is as wide as its target
    context: int = 128  # tokens of a stretch
    recipe: Recipe = RECIPE


def trained(course: Course, target: PreTrainedModel, say: Callable[[str], None] = lambda _: None) -> str:
    """The drafter, trained on `shoal.train.language.corpus` now or before, as text for the family ("fused:file=…").

    Args:
        course: what and how.
        target: a model that reads bytes; left as it is.
        say: hears that training begins.

    Raises:
        MissingExtra: torch is not installed.
        ModelError: the target does not read bytes.
        WorkError: a loss is not finite.
    """
    if target.config.vocab_size != Decoder().vocabulary:
        raise ModelError("drafters are trained on bytes", had=f"a vocabulary of {target.config.vocab_size}")

    def build(folder: Path) -> None:
        say(f"training a drafter: {course.kind}, {course.layers} blocks")
        shape, weights = _small(course) if course.kind == "small" else _head(course, target)
        sizes = {name: np.array(each) for name, each in asdict(shape).items()}
        codec.save_arrays(weights | sizes, folder / FILE)

    place = cache.entry(KIND, key((VERSION, course), None if course.kind == "small" else target), build) / FILE
    return f"{'small' if course.kind == 'small' else 'fused'}:file={place}"


def _small(course: Course) -> tuple[Decoder, dict[str, F32]]:
    shape = Decoder(course.width, course.layers, course.heads, course.hidden, course.context)
    model = built_decoder(shape, course.recipe.seed)
    fit_language(model, corpus()[0], course.recipe, arm="small drafter")
    return shape, parameters(model)


def _head(course: Course, target: PreTrainedModel) -> tuple[Decoder, dict[str, F32]]:
    parts = torch_module("shoal.llm.drafting._head")
    width = target.config.hidden_size
    shape = Decoder(width, course.layers, course.heads, course.hidden, course.context)
    with seeded(course.recipe.seed):
        head = parts.Head(shape, course.kind, target.get_input_embeddings().weight.detach())
    text = stretches(corpus()[0], course.context, course.context // 2)
    before = [each.requires_grad for each in target.parameters()]
    try:
        fit(parts.Lesson(target, head), text, course.recipe, loss=parts.distance, arm=f"head, {course.kind}")
    finally:
        for each, was in zip(target.parameters(), before, strict=True):
            each.requires_grad_(was)
    matrix: Any = target.get_output_embeddings().weight
    return shape, parameters(head) | {"head.weight": matrix.detach().numpy().copy()}


def key(facts: object, target: PreTrainedModel | None) -> str:
    """Under which trained weights are kept: by what decides them, the text, and the model that was learned from, if any."""
    found = hashlib.sha256(repr(facts).encode())
    found.update(corpus()[0].tobytes())
    for name, each in sorted(parameters(target).items()) if target is not None else ():
        found.update(name.encode() + each.tobytes())
    return found.hexdigest()

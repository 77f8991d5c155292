"""Multi-token prediction: a module behind a language model learns to foresee the token after the next.

Source: DeepSeek-V3 Technical Report, arXiv 2412.19437, section 2.2; as there the embedding and the head are the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal import cache, codec
from shoal.errors import ModelError
from shoal.llm.drafting.training import key
from shoal.llm.library import transformers_module
from shoal.train import Recipe
from shoal.train.fit import fit, seeded
from shoal.train.language import Decoder, corpus, parameters, stretches

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

KIND, VERSION = "mtp", 1  # raise it when the same settings give other weights
FILE = "foresight.npz"
RECIPE = Recipe(steps=600, batch=8, optimiser="adamw", rate=3e-3, warmup=0.05, clip=1.0)


@dataclass(frozen=True)
class Course:
    """What is trained, and how."""

    layers: int = 1  # blocks
    heads: int = 4  # of their attention
    hidden: int = 256  # of their gated products
    context: int = 128  # tokens of a stretch, and those that it looks back at later
    recipe: Recipe = RECIPE

    def shape(self, model: PreTrainedModel) -> Decoder:
        """Of the blocks, as wide as the model."""
        return Decoder(int(model.config.hidden_size), self.layers, self.heads, self.hidden, self.context)


def trained(course: Course, model: PreTrainedModel, say: Callable[[str], None] = lambda _: None) -> str:
    """The module, trained on `shoal.train.language.corpus` now or before, as text for the drafters ("mtp:file=…").

    Args:
        course: what and how.
        model: reads bytes; left as it is.
        say: hears that training begins.

    Raises:
        MissingExtra: torch is not installed.
        ModelError: the model does not read bytes.
        WorkError: a loss is not finite.
    """
    if model.config.vocab_size != Decoder().vocabulary:
        raise ModelError("foresight is trained on bytes", had=f"a vocabulary of {model.config.vocab_size}")

    def build(folder: Path) -> None:
        say(f"training what foresees the second token, {course.recipe.steps} steps")
        made, text = _made(model, course), stretches(corpus()[0], course.context, course.context // 2)
        parts = transformers_module("shoal.llm._mtp_module")
        fit(parts.Lesson(model, made), text, course.recipe, loss=_surprise, arm="foresight")
        ends = {f"{name}.weight": each.detach().numpy() for name, each in _ends(model).items()}
        sizes = {name: np.array(each) for name, each in asdict(course.shape(model)).items()}
        codec.save_arrays(parameters(made) | ends | sizes, folder / FILE)

    return f"mtp:file={cache.entry(KIND, key((VERSION, course), model), build) / FILE}"


def macs(model: PreTrainedModel, course: Course) -> int:
    """Multiply-accumulates of one draft, beside attention itself."""
    width = int(model.config.hidden_size)
    block = 4 * width * width + 3 * width * course.hidden
    return 2 * width * width + course.layers * block + width * int(model.config.vocab_size)


def _made(model: PreTrainedModel, course: Course) -> nn.Module:
    parts = transformers_module("shoal.llm._mtp_module")
    with seeded(course.recipe.seed):
        made: nn.Module = parts.Foresight(course.shape(model), *_ends(model).values())
    return made


def _ends(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's embedding and head."""
    ends = {"embed_tokens": model.get_input_embeddings(), "head": model.get_output_embeddings()}
    return {name: each.weight.detach() for name, each in ends.items()}


def _surprise(logits: Tensor, following: Tensor) -> Tensor:
    """Cross-entropy of the second token: `following` is what follows each symbol."""
    found: Tensor = transformers_module("torch").nn.functional.cross_entropy(
        logits.flatten(0, 1), following[:, 1:].flatten()
    )
    return found

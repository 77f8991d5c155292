"""Byte models of a few sizes that learn to compute, with steps written out and without; kept. Needs torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from shoal import cache, codec
from shoal.llm.modules import module
from shoal.study._edge_task import IGNORED, lessons, questions
from shoal.train import Recipe, fit
from shoal.train.language import parameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KIND, VERSION = "trained", 1  # raise it when the same settings give other weights


@dataclass(frozen=True)
class Training:
    """A model and how it is trained."""

    width: int
    layers: int
    slots: int  # operations of the longest question
    steps: bool  # written out
    recipe: Recipe
    learned: int = 30_000  # questions

    @property
    def name(self) -> str:
        """Short, for tables."""
        return f"{self.width} wide{'' if self.steps else ', no steps'}"

    @property
    def config(self) -> dict[str, Any]:
        """As Hugging Face has it."""
        return {
            "model_type": "llama", "vocab_size": 128, "hidden_size": self.width, "num_hidden_layers": self.layers,
            "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 3 * self.width,
            "max_position_embeddings": 4096, "tie_word_embeddings": True, "bos_token_id": None,
            "eos_token_id": None,
        }  # fmt: skip

    def trained(self, say: Callable[[str], None]) -> PreTrainedModel:
        """The model, trained now or before.

        Raises:
            MissingExtra: torch or transformers is not installed.
        """

        def build(folder: Any) -> None:
            say(f"training {self.name}")
            made = module(self.config, seed=self.recipe.seed, attention="sdpa")
            drawn = questions(self.learned, 1, self.slots, self.recipe.seed, held_out=False)
            data = lessons(drawn, self.slots, self.steps, self.recipe.seed)
            found = fit(_Logits(made), data, self.recipe, loss=_loss, arm=self.name)
            say(f"{found.duration_s:.0f} s, loss {np.mean(found.losses[-20:]):.3f}")
            codec.save_arrays(parameters(made), folder / "weights.npz")

        key = hashlib.sha256(repr((VERSION, self, sorted(self.config.items()))).encode()).hexdigest()
        with np.load(cache.entry(KIND, key, build) / "weights.npz") as weights:
            return module(self.config, dict(weights), attention="sdpa")


class _Logits(nn.Module):
    """A model of transformers as `fit` takes it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, symbols: Tensor) -> Tensor:
        """(n, places, vocabulary)."""
        found: Tensor = self.model(symbols, use_cache=False).logits
        return found


def _loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of what follows the question, in nats a byte."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)

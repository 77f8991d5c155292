"""The target, which looks at a whole tree at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError, ModelError
from shoal.llm.drafting.cache import select
from shoal.llm.drafting.drafters.contract import F16
from shoal.llm.drafting.tree import F32, Tree
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Scores:
    """What the target thinks after the text (row 0) and after each token of a tree."""

    logits: F32  # (1 + n, vocabulary)
    features: F16  # (1 + n, width): last hidden states, as its head reads them


class Verifier:
    """A causal language model of transformers, and what it remembers of one text.

    The newest token of the text is not yet remembered; it is scored with the tree that stands on it.
    """

    def __init__(self, module: PreTrainedModel) -> None:
        """In evaluation mode, on the CPU.

        Raises:
            ModelError: what it remembers cannot be taken back, as the state of a state-space layer.
        """
        self._library, self._torch = transformers_module(), transformers_module("torch")
        config = module.config.get_text_config()
        if not self._library.DynamicCache(config=config).is_croppable:
            raise ModelError("what the target remembers of tokens that were refused cannot be taken back",
                             where=config.model_type, hint="draft for models with attention alone")  # fmt: skip
        self._module, self._config = module, config
        self.vocabulary, self.width = int(config.vocab_size), int(config.hidden_size)
        self.context = int(config.max_position_embeddings)
        self._heard: Any = None
        self._cache: Any = None

    @property
    def length(self) -> int:
        """Tokens that are remembered."""
        return int(self._cache.get_seq_length()) if self._cache is not None else 0

    def begin(self, prompt: Sequence[int]) -> Scores:
        """Read a new text; row 0 are logits after all of it, and `features` are those of all its tokens.

        Raises:
            InputError: it is empty, or has tokens that the target does not know.
        """
        if not len(prompt) or not all(0 <= token < self.vocabulary for token in prompt):
            raise InputError(
                "a prompt of the target's tokens is needed", needed=f"1 or more below {self.vocabulary}"
            )
        self._cache = self._library.DynamicCache()  # of layers that keep all: what is out of sight, the mask says
        found = self._run(
            np.array(list(prompt)), np.arange(len(prompt)), np.tri(len(prompt), dtype=bool), last=True
        )
        return found

    def score(self, newest: int, tree: Tree) -> Scores:
        """The text's newest token and the tree after it, in one pass."""
        count, length = len(tree) + 1, self.length
        tokens = np.concatenate([[newest], tree.tokens])
        places = length + np.concatenate([[0], tree.depths])
        seen = np.ones((count, length + count), bool)
        seen[0, length + 1 :] = False
        seen[1:, length + 1 :] = tree.seen
        return self._run(tokens, places, seen)

    def commit(self, tree: Tree, path: Sequence[int]) -> None:
        """After `score`: remember the newest token and this way through the tree, and forget the rest of it."""
        begin = self.length - len(tree)
        select(self._cache, begin, path)

    def _run(self, tokens: Any, places: Any, seen: Any, last: bool = False) -> Scores:
        torch = self._torch
        with torch.inference_mode(), self._listening():
            found = self._module(
                input_ids=torch.from_numpy(tokens.astype(np.int64))[None],
                position_ids=torch.from_numpy(places.astype(np.int64))[None],
                attention_mask=self._mask(places, seen),
                past_key_values=self._cache, use_cache=True, logits_to_keep=0,
            )  # fmt: skip
        logits = found.logits[0, -1:] if last else found.logits[0]
        return Scores(logits.float().numpy(), self._heard.to(torch.float16).numpy())

    def _mask(self, places: Any, seen: Any) -> Any:
        """What is added to scores of attention, (1, 1, tokens, all that is remembered); by kind of layer if unlike."""
        kinds = set(getattr(self._config, "layer_types", None) or ())
        if "sliding_attention" not in kinds and not getattr(self._config, "sliding_window", None):
            return self._added(seen)
        window = self._config.sliding_window
        at = np.concatenate([np.arange(seen.shape[1] - len(places)), places])
        near = self._added(seen & (at[None] > places[:, None] - window))
        return {"full_attention": self._added(seen), "sliding_attention": near} if kinds else near

    def _added(self, seen: Any) -> Any:
        torch = self._torch
        least = torch.finfo(self._module.dtype).min
        return torch.from_numpy(np.where(seen, 0.0, least)).to(self._module.dtype)[None, None]

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Keep what the head reads."""

        def hear(_: Any, inputs: tuple[Any, ...]) -> None:
            self._heard = inputs[0][0]

        handle = self._module.get_output_embeddings().register_forward_pre_hook(hear)
        try:
            yield
        finally:
            handle.remove()

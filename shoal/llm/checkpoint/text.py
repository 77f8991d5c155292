"""Text and tokens: a tokenizer, what begins and ends a text, how a chat is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shoal.errors import MissingExtra, ModelError


@dataclass(frozen=True)
class Text:
    """What a model's tokens mean."""

    file: Path  # tokenizer.json
    ends: tuple[int, ...] = ()
    begins: int | None = None
    template: str = field(default="", repr=False)

    def tokens(self, text: str, *, begin: bool = True) -> list[int]:
        """The tokens of a text, after the one that every text begins with."""
        found: list[int] = self._coder.encode(text, add_special_tokens=False).ids
        return [self.begins, *found] if begin and self.begins is not None else found

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say; half a character at the end stands as U+FFFD."""
        found: str = self._coder.decode(list(tokens), skip_special_tokens=True)
        return found

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """A chat as the model was trained to read it; without a template of its own, a line for each message.

        Raises:
            ModelError: the template refuses these messages.
        """
        if not self.template:
            lines = [f"{each['role'].capitalize()}: {each['content']}" for each in messages]
            return "\n".join([*lines, "Assistant:"])
        from jinja2 import TemplateError

        try:
            return str(
                self._template.render(messages=messages, add_generation_prompt=True, bos_token="", eos_token="")
            )
        except TemplateError as fault:
            raise ModelError(f"the model's chat template refuses these messages: {fault}") from fault

    @cached_property
    def _coder(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as fault:
            raise MissingExtra("tokenizers", "llm") from fault
        return Tokenizer.from_file(str(self.file))

    @cached_property
    def _template(self) -> Any:
        """In a sandbox: templates come with models, from anywhere."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(self.template)

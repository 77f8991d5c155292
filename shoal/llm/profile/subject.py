"""What is profiled: a language model by its configuration, and how its layers are computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import InputError
from shoal.llm import Architecture, Attention, Latent, architecture
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.llm.ssm import chunked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCALING = ("rope_scaling", "rope_parameters")  # entries that stretch positions


@dataclass(frozen=True)
class Subject:
    """A model with weights of a seed: speed and memory do not depend on them."""

    name: str
    config: Mapping[str, Any]
    scan: int = 0  # tokens of a chunk of `shoal.llm.ssm`; 0: the scan of transformers
    passes: int = 0  # tokens of a pass of prefill; 0: the prompt in one

    @property
    def architecture(self) -> Architecture:
        """What follows from the configuration."""
        return architecture(self.config)

    @property
    def attends(self) -> bool:
        """Whether a layer looks at all tokens."""
        return any(isinstance(layer.mixer, (Attention, Latent)) for layer in self.architecture.layers)

    def check(self, tokens: int) -> None:
        """Refuse a sequence that is longer than the positions that the model knows.

        Raises:
            InputError: it is, and nothing scales them; or it has no tokens.
        """
        most = self.architecture.context
        if tokens < 1:
            raise InputError("a sequence has tokens", where=self.name, needed="at least 1", had=str(tokens))
        scaled = any((self.config.get(name) or {}).get("factor") for name in SCALING)
        if tokens > most and self.attends and not scaled:
            raise InputError("longer than the positions that the model knows", where=self.name,
                             needed=f"at most {most} tokens", had=str(tokens),
                             hint="a configuration with rope_scaling goes further")  # fmt: skip

    @contextmanager
    def opened(self) -> Iterator[PreTrainedModel]:
        """The model, ready to answer.

        Raises:
            MissingExtra: transformers is not installed.
            ModelError: transformers does not know the kind; or there is no scan to exchange.
        """
        transformers_module().logging.set_verbosity_error()  # that its own scan is slow is known
        made = module(self.config, attention="sdpa" if self.attends else "eager")
        if self.scan:
            with chunked(made, self.scan):
                yield made
        else:
            yield made


def ready(subjects: Sequence[Subject], longest: int) -> None:
    """Fail at the door, not in the process that measures.

    Raises:
        InputError: a sequence of so many tokens is longer than a model knows positions.
        MissingExtra: transformers is not installed.
    """
    transformers_module("torch")
    transformers_module()
    for subject in subjects:
        subject.check(longest)

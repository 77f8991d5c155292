"""A module of transformers whose weights take no memory as yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shoal.llm.library import transformers_module
from shoal.llm.modules import module

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def skeleton(config: Mapping[str, Any], attention: str = "eager") -> PreTrainedModel:
    """The module of a configuration with weights that have shapes only; its buffers, as of positions, are whole.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind is unknown.
    """
    with _without_weights():
        return module(config, attention=attention)


@contextmanager
def _without_weights() -> Iterator[None]:
    """Parameters that modules register meanwhile are on torch's device without memory, before anything fills them."""
    torch = transformers_module("torch")
    registering = torch.nn.Module.register_parameter

    def register(self: Any, name: str, value: Any) -> None:
        if value is not None and not value.is_meta:
            value = type(value)(value.to("meta"), requires_grad=False)
        registering(self, name, value)

    torch.nn.Module.register_parameter = register
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = registering

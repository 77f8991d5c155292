"""A module of transformers whose weights take no memory as yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.llm.library import transformers_module
from shoal.llm.modules import module

Shape = tuple[int, ...]

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def skeleton(config: Mapping[str, Any], attention: str = "eager") -> PreTrainedModel:
    """The module of a configuration with weights that have shapes only; its buffers, as of positions, are whole.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind is unknown.
    """
    with _without_weights():
        return module(config, attention=attention)


def in_order_of_use(config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Weights as the modules that use them follow one another; files have them in any order.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind is unknown.
    """
    places = {name: at for at, (name, _) in enumerate(skeleton(config).named_parameters())}
    return {name: shapes[name] for name in sorted(shapes, key=lambda name: places.get(name, len(places)))}


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


def owner_of(model: PreTrainedModel, name: str) -> tuple[Any, str]:
    """The module that a weight belongs to, and its name there."""
    path, _, last = name.rpartition(".")
    return model.get_submodule(path), last


def put(model: PreTrainedModel, name: str, array: NDArray[np.float32]) -> None:
    """Have a weight be an array, whose memory it shares."""
    set_weight(*owner_of(model, name), transformers_module("torch").from_numpy(array))


def set_weight(owner: Any, last: str, value: Tensor) -> None:
    """In place of a weight without memory; figures that are no weights are kept in buffers."""
    if last in owner._parameters:
        value = transformers_module("torch").nn.Parameter(value, requires_grad=False)
    setattr(owner, last, value)

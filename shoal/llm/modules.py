"""Language models as modules of transformers: where caches and attention are exchanged for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OWN = {
    "matmul_free": "shoal.llm.matmul_free._module"
}  # kinds that are shoal's: importing makes transformers know them


def module(
    config: Mapping[str, Any],
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    seed: int = 0,
    attention: str = "eager",
) -> PreTrainedModel:
    """A causal language model in float32, ready to answer.

    Args:
        config: the entries of a configuration, `model_type` among them.
        weights: by the module's own names; a tied head may be left out. None: those of `seed`.
        seed: of the weights where none are given.
        attention: the name under which an attention is registered with transformers.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind is unknown, or a weight is missing, too many or of another shape.
    """
    library = transformers_module()
    entries = dict(config)
    kind = entries.pop("model_type", None)
    if kind in OWN:
        transformers_module(OWN[kind])
    try:
        read = library.AutoConfig.for_model(kind, **entries)
    except ValueError as fault:
        raise ModelError(f"transformers knows no model of the kind '{kind}'", where="model_type") from fault
    made: PreTrainedModel = _seeded(library, read, seed, attention)
    if weights is not None:
        _fill(made, weights)
    return made.eval()


def _seeded(library: Any, config: Any, seed: int, attention: str) -> Any:
    from shoal.train.fit import seeded

    with seeded(seed):
        return library.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def _fill(made: PreTrainedModel, weights: Mapping[str, NDArray[Any]]) -> None:
    """Copy the weights in.

    Raises:
        ModelError: they are not the module's.
    """
    torch = transformers_module("torch")
    places = made.state_dict()
    tied = set(made.all_tied_weights_keys or ())
    wrong = sorted((set(places) - set(weights) - tied) | (set(weights) - set(places)))
    wrong += [name for name in places if name in weights and tuple(places[name].shape) != weights[name].shape]
    if wrong:
        raise ModelError("weights are missing, too many or of another shape", where=made.config.model_type,
                         had=", ".join(wrong[:4]))  # fmt: skip
    with torch.no_grad():
        for name, array in weights.items():
            places[name].copy_(torch.from_numpy(np.array(array)))

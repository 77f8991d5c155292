"""A kept decoder as a module of transformers: the executor in which mechanisms are tried, on the very codes of the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.llm.checkpoint.kept import Kept, decoder_of
from shoal.llm.modules import module

if TYPE_CHECKING:
    import onnx_ir as ir
    from transformers import PreTrainedModel

F32 = NDArray[np.float32]
EMBEDDED, HEAD = "embed_tokens", "lm_head"


def as_module(kept: Kept, attention: str = "eager") -> PreTrainedModel:
    """The model as transformers has it, in float32, with what the decoder's codes stand for.

    Args:
        kept: the decoder.
        attention: see `shoal.llm.modules.module`.

    Raises:
        MissingExtra: transformers is not installed.
    """
    found = {name if name.startswith(HEAD) else f"model.{name}": each for name, each in matrices(kept).items()}
    return module(kept.facts.config, found, attention=attention)


def matrices(kept: Kept) -> dict[str, F32]:
    """Every weight of the decoder in float32, as Hugging Face calls it, "model." left out."""
    from shoal.graph.load import read

    decoder = decoder_of(kept.facts.config)
    held = {name: value.const_value for name, value in read(kept.model).graph.initializers.items()}
    found = dict(_each(held, decoder.raised))
    pieces = [found.pop(name) for at in range(len(held)) if (name := f"{HEAD}.{at}.weight") in found]
    if pieces and not decoder.architecture.tied:
        found[f"{HEAD}.weight"] = np.concatenate(pieces)
    return found


def _each(held: Mapping[str, ir.TensorProtocol | None], raised: bool) -> Iterator[tuple[str, F32]]:
    """Weights by their ops' names: products turned back, codes as what they stand for, norms as they are written."""
    for name, tensor in held.items():
        stem, _, what = name.rpartition(".")
        if tensor is None or what not in ("codes", "weight", "bias") or name.startswith("places."):
            continue
        array = np.asarray(tensor.numpy(), np.float32)
        if what == "codes":
            scales = held.get(f"{stem}.scales")
            rows = array if stem == EMBEDDED else array.T
            yield (
                f"{stem}.weight",
                rows if scales is None else _decoded(rows, scales.numpy(), turned=stem != EMBEDDED),
            )
        elif what == "weight" and array.ndim == 1:
            yield name, array - np.float32(raised)
        else:
            yield name, array.T if what == "weight" else array


def _decoded(rows: F32, scales: NDArray[Any], *, turned: bool) -> F32:
    """Codes, (outputs, inputs), times the scales of their blocks."""
    each = scales.T if turned else scales
    found: F32 = (rows.reshape(*each.shape, -1) * each[..., None]).reshape(rows.shape)
    return found

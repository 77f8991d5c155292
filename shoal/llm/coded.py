"""Weights of a language model in a number format, and the bytes that they take there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import formats

F32 = NDArray[np.float32]
LEAVES = (
    "embed_tokens",
    "lm_head",
    "norm",
    "gate.weight",
    "bias",
)  # norms, routers and both ends, as DeepSeek-V3 does


@dataclass(frozen=True, eq=False)
class CodedWeights:
    """What is read back."""

    weights: Mapping[str, F32]  # all of the model's
    coded_bytes: int  # of what is coded, scales included
    values: int  # so many are coded


def coded_weights(weights: Mapping[str, NDArray[Any]], name: str, leaves: tuple[str, ...] = LEAVES) -> CodedWeights:
    """All matrices in the format `name`, those of experts one by one.

    Args:
        weights: by the module's names; experts are (experts, rows, columns).
        name: of `shoal.formats`.
        leaves: what is left as it is, by parts of names.

    Raises:
        InputError: no such format, or its groups do not divide a matrix.
    """
    form = formats.make(name)
    found, bits, values = {}, 0, 0
    for key, array in weights.items():
        if array.ndim < 2 or any(each in key for each in leaves):
            found[key] = array
            continue
        matrices = array.reshape(-1, *array.shape[-2:])
        made = [formats.restored(form, formats.quantise(form, each)) for each in matrices]
        found[key] = np.stack(made).reshape(array.shape)
        bits += len(matrices) * form.stored_bits((array.shape[-2], array.shape[-1]))
        values += array.size
    return CodedWeights(found, bits // 8, values)

"""The one without products of activations, its matrices ternary and kept five weights in a byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from shoal.formats import ternary
from shoal.llm.tiny._kept import BYTES, SHORT, Kept

Weights = Mapping[str, NDArray[Any]]
WIDTH, HIDDEN = 256, 704
PACKED, SCALE = ".packed", ".scale"  # what the file has of a ternary matrix


@dataclass(frozen=True)
class MatmulFree(Kept):
    """Four layers, 256 wide: 3.2 million ternary weights, and a state of 256 channels in each layer."""

    config = BYTES | {
        "model_type": "matmul_free", "hidden_size": WIDTH, "intermediate_size": HIDDEN, "num_hidden_layers": 4,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "initializer_range": 0.06, "tie_word_embeddings": True,
    }  # fmt: skip
    recipe = replace(SHORT, steps=1000)
    sha256: ClassVar[str] = "777c01a3e33dcc69ca47f76ae1651dc9e3d04a90cb8aa1bb9a8b4e31dc464a44"

    @classmethod
    def written(cls, weights: Weights) -> Weights:
        """Ternary matrices as trits and a scale; the rest as it is."""
        import torch

        from shoal.train.ternary._layers import trits

        found: dict[str, NDArray[Any]] = {}
        for name, each in weights.items():
            if not name.endswith("_proj.weight"):
                found[name] = each
                continue
            codes, scale = trits(torch.from_numpy(each))
            found[name + PACKED] = ternary.fives_packed((codes + 1).numpy().astype(np.uint8))
            found[name + SCALE] = scale.numpy().reshape(1)
        return found

    @classmethod
    def read(cls, held: Weights) -> Weights:
        """Weights that, made ternary, are those of the file: −w, 0 and w, whose mean magnitude is the scale."""
        plain = {name: each for name, each in held.items() if not name.endswith((PACKED, SCALE))}
        matrices = [name.removesuffix(PACKED) for name in held if name.endswith(PACKED)]
        return plain | {name: _matrix(name, held) for name in matrices}


def _matrix(name: str, held: Weights) -> NDArray[np.float32]:
    rows = HIDDEN if name.endswith(("gate_proj.weight", "up_proj.weight")) else WIDTH
    columns = HIDDEN if name.endswith("down_proj.weight") else WIDTH
    trits = ternary.fives(held[name + PACKED])[: rows * columns].reshape(rows, columns).astype(np.float32) - 1
    share = np.count_nonzero(trits) / trits.size
    return np.asarray(trits * (held[name + SCALE] / share), np.float32)

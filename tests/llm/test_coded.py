"""Coded weights: what is coded, what is left, what it takes."""

from __future__ import annotations

import numpy as np

from shoal.formats import make, quantise, restored
from shoal.llm.coded import coded_weights


def test_matrices_and_experts_are_coded_and_the_rest_is_left() -> None:
    source = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (9, 8), "model.layers.0.mlp.gate.weight": (4, 8),
              "model.layers.0.mlp.gate_proj.weight": (6, 8), "model.layers.0.mlp.experts.down_proj": (2, 8, 6),
              "model.norm.weight": (8,)}  # fmt: skip
    weights = {name: source.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    found, form = coded_weights(weights, "e4m3b4"), make("e4m3b4")
    for name in ("model.embed_tokens.weight", "model.layers.0.mlp.gate.weight", "model.norm.weight"):
        assert found.weights[name] is weights[name]
    name = "model.layers.0.mlp.experts.down_proj"
    np.testing.assert_array_equal(found.weights[name][1], restored(form, quantise(form, weights[name][1])))
    assert found.values == 6 * 8 + 2 * 8 * 6
    assert found.coded_bytes == 6 * 8 + 4 * (2 * 2) + 2 * (8 * 6 + 4 * (2 * 2))

"""Training small models: experts are used evenly, and what is written reads as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import torch

from shoal.llm.modules import module
from shoal.llm.tiny._learn import CORRECTION, EVEN, answering, balance
from shoal.llm.tiny.deepseek_v3 import DeepseekV3
from shoal.llm.tiny.mixtral import Mixtral
from shoal.train.language import keep, kept


def test_an_even_router_is_punished_least() -> None:
    """Switch's loss is 1 a layer where choices and shares are even."""
    made = module(Mixtral.config)
    penalty, symbols = balance(made), torch.randint(0, 256, (2, 32))
    layers, chosen = made.config.num_hidden_layers, made.config.num_experts_per_tok
    for name, each in made.named_parameters():
        if name.endswith("gate.weight"):
            torch.nn.init.zeros_(each)
    model = answering(made).train()
    model(symbols)
    even = float(penalty(model, 0).detach())
    assert even == pytest.approx(EVEN * layers, rel=1e-5)
    for name, each in made.named_parameters():
        if name.endswith("gate.weight"):
            torch.nn.init.normal_(each, std=2.0)
    model(symbols)
    assert float(penalty(model, 1).detach()) > even
    assert chosen > 1
    assert penalty(model, 2) is None


def test_figures_of_experts_that_are_chosen_often_fall() -> None:
    made = module(DeepseekV3.config).train()
    balance(made)
    router = made.model.layers[1].mlp.gate
    made(torch.randint(0, 256, (2, 32)), use_cache=False)
    moved = router.e_score_correction_bias
    assert 0 < float(moved.abs().max()) <= CORRECTION * 1.001
    assert float(moved.min()) < 0 < float(moved.max())


def test_what_is_written_reads_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"a": np.float32([[0.5, -1.25]]), "b": np.float32([3])}
    checksum = keep(weights, tmp_path / "some.safetensors")
    monkeypatch.setattr("shoal.train.language._kept.files", lambda _: tmp_path)
    found = kept("anything", "some.safetensors", checksum)
    assert set(found) == set(weights)
    for name, each in weights.items():
        np.testing.assert_array_equal(found[name], each)

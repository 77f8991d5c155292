"""Two executors of one model: onnxruntime on the codes, transformers on what they stand for, and the same text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.llm.checkpoint import Wanted, as_module, prepared
from shoal.llm.modules import module
from shoal.llm.tiny import Tiny, save_folder, tiny
from tests.llm.decoder.test_writer import KINDS, weights_of

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")


def saved(kind: str, folder: Path) -> Path:
    if kind == "small":
        return save_folder(tiny("llama"), folder)
    made = module(KINDS[kind], seed=3)
    named = {
        name if name.startswith("lm_head") else f"model.{name}": each.values
        for name, each in weights_of(made).items()
    }
    return save_folder(Tiny(KINDS[kind], named), folder)


@pytest.mark.parametrize("kind", ["small", "gemma3", "llama, longer", "qwen2"])
@pytest.mark.parametrize("weights", ["float32", "int8", "int4"])
def test_both_give_the_same_logits(kind: str, weights: Any, tmp_path: Path) -> None:
    kept = prepared(saved(kind, tmp_path / "model"), Wanted(weights, 64, head_parts=3, logits=True))
    tokens = np.random.default_rng(1).integers(0, 96, (1, 32))
    with torch.no_grad():
        wanted = as_module(kept)(torch.from_numpy(tokens)).logits.numpy()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # activations stay float32
    session = onnxruntime.InferenceSession(str(kept.model), options)
    given = {each.name: np.zeros([1, *each.shape[1:]], np.float32) for each in session.get_inputs()[2:]}
    found = session.run(["logits"], {"tokens": tokens, "last": np.array([31], np.int32), **given})[0]
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()

"""The decoder that comes with shoal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import ModelError
from shoal.train.language import corpus, perplexity, save_language, stretches, tiny

pytest.importorskip("safetensors")


def test_it_foresees_text_that_it_has_not_seen(tmp_path: Path) -> None:
    import onnxruntime

    decoder, weights = tiny()
    path = save_language(decoder, weights, decoder.context, tmp_path / "tiny.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    held = stretches(corpus()[1][: 40 * decoder.context], decoder.context)

    def run(symbols: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [session.run(None, {"symbols": symbols[at : at + 1]})[0] for at in range(len(symbols))]
        )

    assert perplexity(run, held) < 6


def test_weights_that_are_not_those_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.train.language._tiny.SHA256", "0" * 64)
    tiny.cache_clear()
    with pytest.raises(ModelError, match="damaged"):
        tiny()
    tiny.cache_clear()

"""Decoders as ONNX against transformers: the same logits for every kind, by chunks, with codes, in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.llm.checkpoint.kept import decoder_of
from shoal.llm.decoder import Form, Product, caches, coded, save_decoder
from shoal.llm.modules import module

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")

BASE: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "tie_word_embeddings": True,
}  # fmt: skip
SCALED = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama": BASE | {"model_type": "llama"},
    "llama, longer": BASE | {"model_type": "llama", "rope_parameters": SCALED, "tie_word_embeddings": False},
    "llama, stretched": BASE | {"model_type": "llama", "rope_parameters": {"rope_type": "linear", "factor": 2.0}},
    "qwen2": BASE | {"model_type": "qwen2"},
    "qwen3": BASE | {"model_type": "qwen3"},
    "gemma3": BASE | {"model_type": "gemma3_text", "sliding_window": 8, "query_pre_attn_scalar": 24, "layer_types": [
        "sliding_attention", "full_attention", "sliding_attention"]},
}  # fmt: skip
TOKENS = np.random.default_rng(3).integers(0, 96, (2, 40))


def weights_of(model: Any) -> dict[str, Product]:
    """A module's weights, made unlike so that no norm is idle."""
    draw = np.random.default_rng(5)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                each.add_(torch.from_numpy(draw.normal(0, 0.2, tuple(each.shape)).astype(np.float32)))
    return {
        name.removeprefix("model."): Product(each.numpy())
        for name, each in model.state_dict().items()
        if name != "lm_head.weight" or not model.config.tie_word_embeddings
    }


class Runs:
    """A written decoder with its caches."""

    def __init__(self, config: dict[str, Any], weights: dict[str, Product], folder: Path, **form: Any) -> None:
        self.decoder = decoder_of(config)
        path = save_decoder(self.decoder, weights, Form(64, **form), folder / "decoder.onnx")
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # activations stay float32
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.kept = {
            given: np.zeros(self.decoder.cache_shape(at // 2, 2, 64), np.float32)
            for at, (given, _) in enumerate(caches(len(self.decoder.attentions)))
        }

    def __call__(
        self, tokens: np.ndarray[Any, Any], seen: int, row: slice = slice(0, 2)
    ) -> list[np.ndarray[Any, Any]]:
        """What is answered of tokens whose first stands at `seen`."""
        last = np.full(len(tokens), seen + tokens.shape[1] - 1, np.int32)
        kept = {name: each[row] for name, each in self.kept.items()}
        out = self.session.run(None, {"tokens": tokens, "last": last, **kept})
        ends = len(out) - len(kept)
        for name, array in zip(kept, out[ends:], strict=True):
            self.kept[name][row] = array
        found: list[np.ndarray[Any, Any]] = out[:ends]
        return found


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    model = module(KINDS[kind], seed=7)
    weights = weights_of(model)
    with torch.no_grad():
        wanted = model(torch.from_numpy(TOKENS)).logits.numpy()
    runs = Runs(KINDS[kind], weights, tmp_path, logits=True, head_parts=3)
    found = [
        np.concatenate([runs(TOKENS[row : row + 1, first:last], first, slice(row, row + 1))[0] for row in range(2)])
        for first, last in ((0, 17), (17, 30))
    ]  # prompts by chunks, one sequence at a time
    found += [runs(TOKENS[:, at : at + 1], at)[0] for at in range(30, 40)]  # then both at once
    assert np.abs(np.concatenate(found, axis=1) - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_give_the_logits_of_what_they_stand_for(bits: int, tmp_path: Path) -> None:
    model = module(KINDS["qwen3"], seed=7)
    weights = {
        name: coded(each.values, bits) if each.values.ndim == 2 else each
        for name, each in weights_of(model).items()
    }
    plain = {name: Product(each.matrix) if each.values.ndim == 2 else each for name, each in weights.items()}
    one, other = (
        Runs(KINDS["qwen3"], each, tmp_path / name, logits=True) for name, each in (("a", weights), ("b", plain))
    )
    found, wanted = one(TOKENS[:1], 0, slice(0, 1))[0], other(TOKENS[:1], 0, slice(0, 1))[0]
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("parts", [1, 5])
def test_the_best_are_the_largest_logits(parts: int, tmp_path: Path) -> None:
    model = module(KINDS["llama"], seed=7)
    weights = weights_of(model)
    whole = Runs(KINDS["llama"], weights, tmp_path / "whole", logits=True)
    best = Runs(KINDS["llama"], weights, tmp_path / "best", head_parts=parts, best=12)
    logits = whole(TOKENS[:1], 0, slice(0, 1))[0][0, -1]
    scores, candidates = best(TOKENS[:1], 0, slice(0, 1))
    order = np.argsort(-logits, kind="stable")[:12]
    assert candidates[0].tolist() == order.tolist()
    assert np.allclose(scores[0], logits[order], atol=1e-5)


def test_among_equals_the_lower_token_is_first(tmp_path: Path) -> None:
    weights = weights_of(module(KINDS["llama, longer"], seed=7))
    weights["lm_head.weight"] = Product(np.repeat(weights["lm_head.weight"].values[:24], 4, axis=0))
    best = Runs(KINDS["llama, longer"], weights, tmp_path, head_parts=5, best=8)
    scores, candidates = best(TOKENS[:1], 0, slice(0, 1))
    assert candidates[0, :4].tolist() == sorted(candidates[0, :4].tolist())
    assert len(set(scores[0, :4].tolist())) == 1


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    weights = weights_of(module(KINDS["llama"], seed=7))
    decoder = decoder_of(KINDS["llama"])
    with pytest.raises(InputError, match="not made for"):
        save_decoder(decoder, weights, Form(129), tmp_path / "d.onnx")
    with pytest.raises(ModelError, match="missing or of another shape"):
        save_decoder(
            decoder, weights | {"norm.weight": Product(np.ones(3, np.float32))}, Form(16), tmp_path / "d.onnx"
        )
    with pytest.raises(ModelError, match="cannot be written as ONNX yet"):
        decoder_of({"model_type": "mamba2"})
    with pytest.raises(ModelError, match="no language model of the kind"):
        decoder_of({"model_type": "lama"})
    with pytest.raises(ModelError, match="fitted in by 'yarn'"):
        decoder_of(KINDS["llama"] | {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}})


def test_coding_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError):
        coded(np.ones((2, 33), np.float32), 8)
    with pytest.raises(InputError):
        coded(np.ones((2, 32), np.float32), 3)

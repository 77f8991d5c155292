"""Training decoders, and measuring them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.train.language import Decoder, Stretches, losses, perplexity, stretches

TEXT = np.frombuffer(b"to be or not to be, that is the question. " * 60, np.uint8)
SMALL = Decoder(width=16, layers=1, heads=2, hidden=24, context=16)


def test_stretches_are_followed_by_what_follows() -> None:
    found = stretches(TEXT, 16)
    assert found.x.shape == found.y.shape == ((len(TEXT) - 1) // 16, 16)
    assert np.array_equal(found.x[:, 1:], found.y[:, :-1])
    assert np.array_equal(found.x.ravel(), TEXT[: found.x.size])


def test_too_little_text_is_refused() -> None:
    with pytest.raises(InputError, match="too little text"):
        stretches(TEXT[:16], 16)


def test_who_knows_nothing_is_as_surprised_as_there_are_symbols() -> None:
    found = perplexity(lambda x: np.zeros((*x.shape, 256)), stretches(TEXT, 16))
    assert found == pytest.approx(256)


def test_losses_are_those_of_the_definition() -> None:
    source = np.random.default_rng(1)
    logits = source.standard_normal((3, 4, 5))
    held = Stretches(np.zeros((3, 4), np.int64), source.integers(0, 5, (3, 4)))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = [
        np.mean([-math.log(shares[item, place, held.y[item, place]]) for place in range(4)]) for item in range(3)
    ]
    found = losses(lambda x: logits[: len(x)], held)
    assert found == pytest.approx(np.array(wanted))


def test_a_decoder_learns_sees_no_later_symbol_and_is_the_same_in_onnx(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from shoal.train import Recipe
    from shoal.train.language import built_decoder, fit_language, parameters, runner, save_language

    model = built_decoder(SMALL, seed=3)
    held = stretches(TEXT, 16)
    before = perplexity(runner(model), held)
    fit_language(model, TEXT, Recipe(steps=60, batch=16, rate=1e-2, optimiser="adamw", warmup=0.1, clip=1.0))
    run = runner(model)
    assert perplexity(run, held) < before / 4

    changed = held.x[:1].copy()
    changed[0, 9] ^= 1
    same, other = run(held.x[:1]), run(changed)
    assert np.array_equal(same[0, :9], other[0, :9])
    assert not np.allclose(same[0, 9:], other[0, 9:])

    import onnxruntime

    path = save_language(SMALL, parameters(model), 16, tmp_path / "small.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"symbols": held.x[:1]})[0] == pytest.approx(same, abs=1e-4)


def test_layers_are_made_by_the_factory_that_is_given() -> None:
    torch = pytest.importorskip("torch")
    from shoal.train.language import built_decoder

    asked = []

    def linear(outputs: int, inputs: int, name: str) -> object:
        asked.append((name, outputs, inputs))
        return torch.nn.Linear(inputs, outputs, bias=False)

    built_decoder(SMALL, linear=linear)  # type: ignore[arg-type]  # torch is not known where it is not installed
    assert sorted(asked) == sorted(SMALL.products())


def test_a_weight_that_is_missing_is_named(tmp_path: Path) -> None:
    from shoal.train.language import save_language

    with pytest.raises(InputError, match=r"embed_tokens\.weight"):
        save_language(SMALL, {}, 16, tmp_path / "none.onnx")

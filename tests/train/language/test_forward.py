"""The decoder in numpy against the one in ONNX, rounded and with tokens dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.train.language import Decoder, save_language
from shoal.train.language.forward import READERS, Forward, Kind

SHAPE = Decoder(width=32, layers=3, heads=4, hidden=48, context=24)


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    source = np.random.default_rng(0)
    return {
        name: (source.standard_normal(shape) / (shape[1] ** 0.5 if len(shape) > 1 else 1)).astype(np.float32)
        for name, shape in SHAPE.shapes().items()
    }


@pytest.fixture(scope="module")
def symbols() -> Any:
    return np.random.default_rng(1).integers(0, SHAPE.vocabulary, (3, 24))


def test_it_answers_like_onnx(weights: dict[str, Any], symbols: Any, tmp_path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(save_language(SHAPE, weights, 24, tmp_path / "model.onnx")))
    wanted = np.concatenate([session.run(None, {"symbols": each[None]})[0] for each in symbols])
    np.testing.assert_allclose(Forward(SHAPE, weights)(symbols), wanted, atol=2e-4)


def test_later_symbols_change_nothing(weights: dict[str, Any], symbols: Any) -> None:
    other = symbols.copy()
    other[:, 12:] = 7
    one, two = (Forward(SHAPE, weights)(each)[:, :12] for each in (symbols, other))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_everything_is_shown_once_and_by_its_shape(weights: dict[str, Any], symbols: Any) -> None:
    shown: dict[str, tuple[str, tuple[int, ...]]] = {}

    def look(kind: Kind, name: str, x: Any) -> Any:
        assert name not in shown
        shown[name] = kind, x.shape
        return x

    np.testing.assert_array_equal(Forward(SHAPE, weights, look)(symbols), Forward(SHAPE, weights)(symbols))
    assert len(shown) == SHAPE.layers * (2 + 4 + 3 + 1) + 1
    assert shown["layers.1.mlp.gated"] == ("read", (3, 24, 48))
    assert shown["layers.2.self_attn.k"] == ("headed", (3, 24, 32))
    assert shown["layers.0.self_attn.probabilities"] == ("shares", (3, 4, 24, 24))
    read = {name.split(".", 2)[2] for name, (kind, _) in shown.items() if kind == "read"}
    assert read == set(READERS)
    assert {f"layers.0.{each}" for layers in READERS.values() for each in layers} == {
        name for name, _, _ in SHAPE.products() if name.startswith("layers.0.")
    }


def test_tokens_that_go_behind_the_last_attention_change_no_logits_of_others(
    weights: dict[str, Any], symbols: Any
) -> None:
    stay = np.broadcast_to(np.array([0, 3, 4, 23]), (3, 4))
    forward = Forward(SHAPE, weights, kept=lambda layer, shares: stay if layer == 2 else None)
    answer = forward.run(symbols)
    np.testing.assert_array_equal(answer.places, stay)
    np.testing.assert_allclose(answer.logits, Forward(SHAPE, weights)(symbols)[:, stay[0]], atol=1e-5)


def test_tokens_that_go_early_are_no_longer_attended_to(weights: dict[str, Any], symbols: Any) -> None:
    """Behind the first layer it is as if they were not there, at the same places."""
    stay = np.broadcast_to(np.delete(np.arange(24), [5, 6]), (3, 22))
    seen: list[tuple[int, ...]] = []

    def kept(layer: int, shares: Any) -> Any:
        seen.append(shares.shape)
        return stay if layer == 0 else None

    answer = Forward(SHAPE, weights, kept=kept).run(symbols)
    assert seen == [(3, 4, 24, 24), (3, 4, 22, 22), (3, 4, 22, 22)]
    np.testing.assert_array_equal(answer.places, stay)
    whole = Forward(SHAPE, weights)(symbols)
    np.testing.assert_allclose(answer.logits[:, :5], whole[:, :5], atol=1e-5)  # earlier ones never saw them
    assert np.abs(answer.logits[:, 5:] - whole[:, 7:]).max() > 1e-3


def test_products_can_be_somebody_elses(weights: dict[str, Any], symbols: Any) -> None:
    names = []

    def product(name: str, x: Any) -> Any:
        names.append(name)
        return x @ weights[f"{name}.weight"].T

    given = {name: each for name, each in weights.items() if "proj" not in name}
    np.testing.assert_array_equal(Forward(SHAPE, given, product=product)(symbols), Forward(SHAPE, weights)(symbols))
    assert sorted(names) == sorted(name for name, _, _ in SHAPE.products())

"""Modules of transformers with our weights: the small decoder answers as it does in numpy, wrong weights are refused."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.llm.modules import module
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_the_small_decoder_answers_as_in_numpy() -> None:
    from shoal.train.language import tiny as plain
    from shoal.train.language.forward import Forward

    symbols = np.random.default_rng(0).integers(0, 256, (2, 48))
    with torch.no_grad():
        found = tiny("llama").module()(torch.from_numpy(symbols)).logits.numpy()
    wanted = Forward(*plain())(symbols)
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("change", ["missing", "shape", "more"])
def test_wrong_weights_are_refused(change: str) -> None:
    known = tiny("llama")
    weights = dict(known.weights)
    if change == "missing":
        del weights["model.norm.weight"]
    elif change == "shape":
        weights["model.norm.weight"] = weights["model.norm.weight"][:-1]
    else:
        weights["model.another"] = weights["model.norm.weight"]
    with pytest.raises(ModelError, match="weights are missing"):
        module(known.config, weights)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="no model of the kind 'lama'"):
        module({"model_type": "lama"})
    with pytest.raises(InputError):
        tiny("lama")

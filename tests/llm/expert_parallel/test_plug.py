"""A model whose experts are elsewhere answers as before, and is afterwards what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.llm.expert_parallel import Ways, even, parallel
from shoal.llm.experts import blocks
from shoal.llm.tiny import tiny
from shoal.train.language import corpus, stretches

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")


@pytest.fixture
def symbols() -> Any:
    return torch.from_numpy(stretches(corpus()[1][: 2 * 32 + 1], 32).x)


@pytest.mark.parametrize(("kind", "count", "mode"), [("mixtral", 3, "hub"), ("experts16", 2, "shards")])
def test_logits_are_those_of_one_process(kind: str, count: int, mode: Any, symbols: Any) -> None:
    model = tiny(kind).module()
    native = even(4, blocks(model)[0].count, count)
    with torch.no_grad():
        alone = model(symbols, use_cache=False).logits
        with parallel(model, native, Ways(mode=mode)) as there:
            kept = [each.experts.down_proj.clone() for each in blocks(model)]
            for each in blocks(model):
                each.experts.down_proj.fill_(float("nan"))  # the work is really done elsewhere
            found = model(symbols, use_cache=False).logits
            for each, values in zip(blocks(model), kept, strict=True):
                each.experts.down_proj.copy_(values)
        assert (found - alone).abs().max() <= 1e-5 * alone.abs().max()
        assert torch.equal(model(symbols, use_cache=False).logits, alone)
    assert len(there.traffic.steps) == 4
    assert sum(report.copies for report in there.traffic.steps[0].reports) == symbols.numel() * 2 * (
        2 if kind == "experts16" else 1
    )


def test_text_generated_is_the_same(symbols: Any) -> None:
    model = tiny("mixtral").module()
    options = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0}
    alone = model.generate(symbols[:1], **options)
    with parallel(model, even(4, 8, 2)):
        assert torch.equal(model.generate(symbols[:1], **options), alone)


def test_what_cannot_be_is_refused(symbols: Any) -> None:
    model = tiny("mixtral").module()
    with pytest.raises(InputError, match=r"needed .4, 8., had .4, 9."), parallel(model, even(4, 9, 2)):
        pass
    told = "no layer of the model has experts"
    with pytest.raises(ModelError, match=told), parallel(tiny("llama").module(), even(4, 8, 2)):
        pass
    blocks(model)[2].experts.has_bias = True
    told = "layer 2: workers compute experts of a gate and two matrices"
    with pytest.raises(ModelError, match=told), parallel(model, even(4, 8, 2)):
        pass
    blocks(model)[2].experts.has_bias = False
    before = model.config._experts_implementation
    with pytest.raises(ModelError, match="no gradients"), parallel(model, even(4, 8, 2)):
        model.train().requires_grad_(True)(symbols, use_cache=False)
    assert model.config._experts_implementation == before
    assert np.isfinite(model(symbols).logits.detach().numpy()).all()

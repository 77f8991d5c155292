"""Every technique on experts: undone to the last bit, exact where it says so, counted in what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from shoal import catalog
from shoal.errors import ModelError

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("scipy")

import torch

from shoal.llm.experts import FAMILY, Technique, blocks, judged, stored_bits
from shoal.llm.tiny import tiny
from shoal.train.language import Stretches, corpus, stretches

TECHNIQUES = catalog.names(FAMILY)
BRIEF = {"dense": "dense:steps=4", "distil": "distil:steps=4"}  # that train
ALIKE = {"distil", "prune", "reorder"}  # that know routers which choose among all experts alike


@pytest.fixture(scope="module")
def text() -> Stretches:
    return stretches(corpus()[1][: 8 * 64], 64)


@pytest.fixture(scope="module")
def learned() -> Stretches:
    return stretches(corpus()[0][: 16 * 64], 64)


def _answer(model: Any, text: Stretches) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(torch.from_numpy(text.x), use_cache=False).logits
    return logits


def _state(model: Any) -> tuple[Any, ...]:
    """All that a technique could leave behind."""
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    places = {name: id(each) for name, each in model.named_parameters()}
    facts = [[*sorted(vars(each.experts)), each.experts.num_experts] for each in blocks(model)]
    hooks = [len(each._forward_hooks) for each in model.modules()]
    return weights, places, facts, hooks, model.config._experts_implementation


@pytest.mark.parametrize("kind", ["mixtral", "experts16"])
@pytest.mark.parametrize("name", TECHNIQUES)
def test_it_is_undone_to_the_last_bit(kind: str, name: str, text: Stretches, learned: Stretches) -> None:
    technique: Technique = catalog.make(FAMILY, BRIEF.get(name, name))
    model = tiny(kind).module()
    before, plain, bits = _state(model), _answer(model, text), stored_bits(model)
    handle = technique.apply(model, learned.x)
    changed, figures = _answer(model, text), judged(model, text)
    assert torch.isfinite(changed).all()
    assert figures.resident_bytes * 8 == stored_bits(model) <= bits
    if technique.exact:
        assert float((changed - plain).abs().max()) <= 1e-5 * float(plain.abs().max())
        assert stored_bits(model) == bits
    else:
        assert not torch.equal(changed, plain)
    handle.undo()
    handle.undo()
    weights, *after = _state(model)
    assert after == list(before[1:])
    for key, each in before[0].items():
        assert torch.equal(weights[key], each), key
    assert torch.equal(_answer(model, text), plain)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_experts_in_groups_are_served_or_refused(name: str, learned: Stretches) -> None:
    """Routers that choose among groups are of another kind; what does not know them says so and changes nothing."""
    technique: Technique = catalog.make(FAMILY, BRIEF.get(name, name))
    model = tiny("deepseek_v3").module()
    plain = _answer(model, learned)
    if name in ALIKE:
        with pytest.raises(ModelError, match="knows routers with one softmax"):
            technique.apply(model, learned.x)
    else:
        technique.apply(model, learned.x).undo()
    assert torch.equal(_answer(model, learned), plain)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_model_without_experts_is_refused(name: str, learned: Stretches) -> None:
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        catalog.make(FAMILY, BRIEF.get(name, name)).apply(tiny("llama").module(), learned.x)

"""Gates of heads on the model that remembers: ratios, agreement, what is learned and what stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.llm.attention import GateRecipe, Gates, learned_gates, mass_gates
from shoal.llm.attention.recall import Recall, recall_model
from shoal.train.language import corpus

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

GATES = Gates(np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.0]], np.float32))


def test_the_highest_gates_keep_pages() -> None:
    assert GATES.streaming(0.5) == ((1,), (0, 2))
    assert GATES.streaming(0) == ((0, 1, 2), (0, 1, 2))
    assert GATES.streaming(1) == ((), ())
    assert GATES.agreement(Gates(1 - GATES.values), 0.5) == 0
    assert GATES.agreement(GATES, 0.3) == 1
    for ratio in (-0.01, 1.5, float("nan")):
        with pytest.raises(InputError, match="no share of the heads"):
            GATES.streaming(ratio)


@pytest.fixture(scope="module")
def model() -> Any:
    return recall_model().module("sdpa")


def test_the_model_remembers_facts_of_text_that_it_has_not_seen(model: Any) -> None:
    texts = Recall().texts(corpus()[1], 4, seed=7)
    with torch.no_grad():
        said = model(torch.from_numpy(texts.tokens)).logits.argmax(dim=-1).numpy()
    right = said[:, :-1][texts.asked[:, :-1]] == texts.tokens[:, 1:][texts.asked[:, :-1]]
    assert right.mean() > 0.95


def test_gates_are_learned_alone(model: Any) -> None:
    texts = Recall(128, 6, 8).texts(corpus()[0], 4, seed=1)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    found = learned_gates(
        model, texts.tokens, texts.asked, GateRecipe(sink=4, recent=12, steps=6, rate=0.1, batch=2)
    )
    assert found.values.shape == (2, 8)
    assert 0 <= found.values.min() < found.values.max() <= 1
    for name, each in model.state_dict().items():
        assert torch.equal(each, before[name])
    assert all(each.requires_grad for each in model.parameters())
    assert model.config._attn_implementation == "sdpa"


def test_gates_of_heads_that_change_nothing_close(model: Any) -> None:
    texts = Recall(48, 4, 8).texts(corpus()[0], 2, seed=1)
    found = learned_gates(
        model, texts.tokens, texts.asked, GateRecipe(sink=4, recent=48, steps=4, rate=0.25, batch=2)
    )
    assert (found.values < 1e-4).all()  # streaming sees everything, so that only the gates' weight counts


def test_masses_are_shares_of_attention_beyond_both_ends(model: Any) -> None:
    texts = Recall(128, 6, 8).texts(corpus()[0], 2, seed=1)
    found = mass_gates(model, texts.tokens, sink=4, recent=28).values
    eager = recall_model().module("eager")
    with torch.no_grad():
        shares = eager(torch.from_numpy(texts.tokens), output_attentions=True).attentions
    ages = np.arange(128)[:, None] - np.arange(128)
    far = torch.from_numpy((ages >= 28) & (np.arange(128) >= 4))
    for layer, each in enumerate(shares):
        wanted = (each * far)[:, :, 32:].sum(dim=-1).mean(dim=(0, 2))
        np.testing.assert_allclose(found[layer], wanted.numpy(), atol=1e-5)
    with pytest.raises(InputError, match="texts too short"):
        mass_gates(model, texts.tokens)


def test_recipes_and_tasks_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="no recipe"):
        GateRecipe(recent=0)
    with pytest.raises(InputError, match="do not fit"):
        Recall(40, 17, 2)
    texts = Recall(64, 5, 6).texts(corpus()[0], 3, seed=0)
    assert texts.prompt == 52
    assert ((texts.tokens >= 128).sum(axis=1) == 5).all()

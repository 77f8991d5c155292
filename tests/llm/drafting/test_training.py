"""Drafters that are trained: kept, and in numpy what they were in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from shoal import catalog
from shoal.errors import ModelError
from shoal.llm.drafting import FAMILY, Ask, Budget, Course, Drafter, trained
from shoal.llm.modules import module
from shoal.train import Recipe
from shoal.train.language import corpus

RECIPE = Recipe(steps=2, batch=2, optimiser="adamw", rate=3e-3)
CONFIG = {
    "model_type": "llama", "vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus()  # from the usual place
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))


@pytest.mark.parametrize("kind", ["gate", "linear"])
def test_a_head_foresees_in_numpy_what_it_does_in_torch(kind: str) -> None:
    from shoal.llm.drafting._head import Head
    from shoal.train.language import Decoder

    target = module(CONFIG, seed=3)
    course = Course(kind, layers=2, heads=2, hidden=24, context=32, recipe=RECIPE)  # type: ignore[arg-type]
    text = trained(course, target)
    drafter: Drafter = catalog.make(FAMILY, text)
    symbols = torch.from_numpy(corpus()[1][:20].astype(np.int64))[None]
    head = Head(Decoder(32, 2, 2, 24, 32), kind, torch.zeros(256, 32))  # type: ignore[arg-type]
    with np.load(text.partition("file=")[2]) as kept:
        head.load_state_dict({name: torch.from_numpy(kept[name]) for name in head.state_dict()})
    with torch.inference_mode():
        features = target.base_model(input_ids=symbols).last_hidden_state.half()
        found = head(features[:, :-1].float(), symbols[:, 1:])[0, -1]
        wanted = (target.get_output_embeddings().weight @ found).log_softmax(-1).numpy()
    budget = Budget(1, 4, 4)
    ask = Ask(symbols[0].numpy().astype(np.int32), features[0, :-1].numpy(), budget, temperature=1.0)
    tree = drafter.begin(0).propose(ask)
    assert tree.q is not None
    np.testing.assert_allclose(np.log(tree.q[0]), wanted, atol=1e-4)


def test_what_was_trained_is_kept_and_the_target_is_left_alone() -> None:
    target, said = module(CONFIG, seed=3), list[str]()
    course = Course("gate", heads=2, hidden=24, context=32, recipe=RECIPE)
    before = {name: each.clone() for name, each in target.state_dict().items()}
    assert trained(course, target, said.append) == trained(course, target, said.append)
    assert len(said) == 1
    assert trained(course, module(CONFIG, seed=4), said.append) != trained(course, target, said.append)
    assert all(each.requires_grad for each in target.parameters())
    assert all(torch.equal(each, before[name]) for name, each in target.state_dict().items())


def test_a_small_model_needs_no_target_of_its_width() -> None:
    target = module(CONFIG, seed=3)
    text = trained(Course("small", heads=2, width=16, hidden=24, context=32, recipe=RECIPE), target)
    drafter: Drafter = catalog.make(FAMILY, text)
    assert (drafter.vocabulary, drafter.width) == (256, 0)
    with pytest.raises(ModelError, match="trained on bytes"):
        trained(Course("small", recipe=RECIPE), module(CONFIG | {"vocab_size": 100}))

"""Chains of a real module: alike by our steps and by `generate`, many at once, timed apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from shoal.errors import InputError
from shoal.llm.modules import module
from shoal.llm.reasoning import Clock, Control, Drawn, Marks, chains
from shoal.train.library import torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG = {
    "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256, "bos_token_id": None,
    "eos_token_id": None, "pad_token_id": 0, "initializer_range": 0.5,
}  # fmt: skip
MARKS = Marks((30, 31), (1, 2, 3), 0)
QUESTIONS = np.random.default_rng(0).integers(4, 30, (3, 6))


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return module(CONFIG, seed=3, attention="sdpa")


@pytest.mark.parametrize("control", [Control(), Control("cut", 5), Control("none")], ids=lambda each: each.name)
def test_our_steps_and_generate_write_the_same(model: PreTrainedModel, control: Control) -> None:
    from transformers import GenerationConfig

    from shoal.llm.reasoning.steered import Answered, Budget, Followed

    ours = chains(model, QUESTIONS, MARKS, control, Drawn(most=12))
    followed = Followed(6, MARKS, control)
    prompt = torch.from_numpy(QUESTIONS)
    theirs = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), logits_processor=[Budget(followed)],
        stopping_criteria=[Answered(followed)],
        generation_config=GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0),
    )  # fmt: skip
    np.testing.assert_array_equal(theirs[:, 6:].numpy(), ours.written[:, 0])


def test_a_cut_is_kept_by_every_row_and_all_answer(model: PreTrainedModel) -> None:
    found = chains(model, QUESTIONS, Marks((30, 31), (1, 2, 3), 99), Control("cut", 4), Drawn(5, 1.0, seed=1))
    assert found.answers.shape == found.thought.shape == found.scores.shape == (3, 5)
    assert found.thought.max() <= 4
    assert set(found.answers.ravel()) <= {1, 2, 3}
    assert (found.scores <= 0).all()
    assert len(found.steps_s) == found.written.shape[-1] - 1


def test_samples_differ_and_a_seed_gives_them_again(model: PreTrainedModel) -> None:
    first, again, other = (
        chains(model, QUESTIONS, MARKS, Control("cut", 6), Drawn(4, 1.0, seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.written, again.written)
    assert len({tuple(row) for row in first.written[0]}) > 1
    assert other.written.shape != first.written.shape or (other.written != first.written).any()


def test_a_vote_at_temperature_zero_is_refused() -> None:
    with pytest.raises(InputError, match="all equal"):
        Drawn(4, 0.0)


def test_prompts_and_tokens_are_timed_apart(model: PreTrainedModel) -> None:
    clock = Clock(model, rounds=2)
    reads = clock.prefills([8, 200])
    assert [each.tokens for each in reads] == [8, 200]
    assert all(each.seconds > 0 for each in reads)
    tokens = clock.tokens([8, 32], 3, (1, 4))
    assert [(each.seen, each.texts) for each in tokens[:6]] == [
        (10, 1),
        (11, 1),
        (12, 1),
        (10, 4),
        (11, 4),
        (12, 4),
    ]
    before = torch.get_num_threads()
    with torch_threads():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.serial  # wall time against own time
def test_energy_is_metered_of_both_phases(model: PreTrainedModel) -> None:
    from shoal import catalog

    found = Clock(model).metered(20, 5, catalog.make("measure/meters", "model:idle_w=3,core_w=0"))
    assert found.prefill_j == pytest.approx(3 * found.prefill_s, rel=0.2)
    assert found.decode_j == pytest.approx(3 * found.decode_s, rel=0.2)

"""The loop on the tiny decoder: the target's own text whatever is drafted, in one process and in two."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from shoal.errors import InputError, ModelError, WorkError
from shoal.llm.drafting import (
    ROOT,
    Ask,
    Budget,
    Curve,
    Speed,
    Tree,
    Trying,
    Tuner,
    Verifier,
    elsewhere,
    generate,
)
from shoal.llm.drafting.drafters.ngram import Ngram
from shoal.llm.drafting.drafters.random import Random
from shoal.llm.modules import module
from shoal.llm.service import Sampling
from shoal.llm.tiny import tiny
from shoal.train.language import corpus

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NEW = 24


@pytest.fixture(scope="module")
def target() -> Iterator[PreTrainedModel]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny("llama").module()
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def prompt() -> list[int]:
    found: list[int] = corpus()[1][1000:1048].tolist()
    return found


@pytest.fixture(scope="module")
def alone(target: PreTrainedModel, prompt: list[int]) -> tuple[int, ...]:
    """What transformers itself writes."""
    with torch.inference_mode():
        found = target.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, pad_token_id=0)
    return tuple(found[0, len(prompt) :].tolist())


@dataclass(frozen=True)
class Knowing:
    """It knows what comes, and hides it among other tokens."""

    text: tuple[int, ...]  # prompt and what comes
    wrong_at: int = 1000  # from here on it knows nothing
    vocabulary: int = 256
    width: int = 192

    def begin(self, seed: int) -> Telling:
        return Telling(self)


class Telling:
    def __init__(self, made: Knowing) -> None:
        self._made, self._at, self._features = made, 0, 1

    def propose(self, ask: Ask) -> Tree:
        self._at += len(ask.tokens)
        self._features += len(ask.features)
        assert self._features == self._at, "a feature for every token but the newest"
        tokens, parents, last = [], [], ROOT
        for at, token in enumerate(self._made.text[self._at : self._at + ask.budget.depth], self._at):
            right = token if at < self._made.wrong_at else (token + 1) % 256
            tokens += [(token + 2) % 256, right]
            parents += [last, last]
            last = len(tokens) - 1
        return Tree.of(tokens, parents)


def test_the_target_alone_writes_what_transformers_does(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]
) -> None:
    found = generate(target, prompt, NEW)
    assert found.tokens == alone
    assert (found.rounds, found.accepted, found.bytes) == (NEW - 1, 0, 0)


@pytest.mark.parametrize("budget", [Budget.chain(4), Budget(3, 3, 9)])
def test_a_bad_drafter_changes_nothing(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...], budget: Budget
) -> None:
    found = generate(target, prompt, NEW, drafter=Random(), tree=budget)
    assert found.tokens == alone
    assert found.rounds + found.accepted == NEW - 1


@pytest.mark.parametrize("wrong_at", [1000, 60])
def test_a_way_through_a_tree_is_remembered_and_the_rest_is_not(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...], wrong_at: int
) -> None:
    found = generate(target, prompt, NEW, drafter=Knowing((*prompt, *alone), wrong_at), tree=Budget(5, 2, 10))
    assert found.tokens == alone
    assert found.rounds == (4 if wrong_at == 1000 else 2 + 11)


def test_logits_of_a_tree_are_those_of_each_way_by_itself(target: PreTrainedModel, prompt: list[int]) -> None:
    tree = Tree.of([5, 6, 7, 8, 9], [ROOT, 0, ROOT, 1, 1])
    verifier = Verifier(target)
    verifier.begin(prompt[:-1])
    scores = verifier.score(prompt[-1], tree)
    ways = [[], *([int(tree.tokens[at]) for at in np.flatnonzero(row)] for row in tree.seen)]
    for way, logits, feature in zip(ways, scores.logits, scores.features, strict=True):
        with torch.inference_mode():
            whole = torch.tensor([[*prompt, *way]])
            wanted = target(whole).logits[0, -1].numpy()
            hidden = target.base_model(whole).last_hidden_state[0, -1].numpy()
        np.testing.assert_allclose(logits, wanted, atol=1e-4)
        np.testing.assert_allclose(feature, hidden, rtol=2e-3, atol=2e-3)
    verifier.commit(tree, [0, 1, 4])
    assert verifier.length == len(prompt) + 3
    with torch.inference_mode():
        wanted = target(torch.tensor([[*prompt, 5, 6, 9, 1]])).logits[0, -1].numpy()
    np.testing.assert_allclose(verifier.score(1, Tree.chain([])).logits[0], wanted, atol=1e-4)


def test_windows_hold_in_trees_too() -> None:
    config = {
        "model_type": "gemma3_text", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 48,
        "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"], "eos_token_id": None,
        "pad_token_id": 0, "bos_token_id": None,
    }  # fmt: skip
    made = module(config, seed=1)
    prompt = list(range(1, 15))
    with torch.inference_mode():
        found = made.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, use_cache=False)
    alone = tuple(found[0, len(prompt) :].tolist())
    drafter = Knowing((*prompt, *alone), vocabulary=64, width=32)
    assert generate(made, prompt, NEW).tokens == alone
    drafted = generate(made, prompt, NEW, drafter=drafter, tree=Budget(4, 2, 8))
    assert drafted.tokens == alone
    assert drafted.rounds < NEW // 3


def test_drawn_text_does_not_depend_on_how_it_is_split_up(target: PreTrainedModel, prompt: list[int]) -> None:
    one, two = (
        generate(target, prompt, NEW, drafter=Random(), sampling=Sampling(0.9, 0.95, 20, 4)) for _ in range(2)
    )
    assert one.tokens == two.tokens
    assert generate(target, prompt, NEW, sampling=Sampling(0.9, 0.95, 20, 5)).tokens != one.tokens


def test_a_text_ends_where_it_should(target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]) -> None:
    end = alone[7]
    wanted = alone[: alone.index(end) + 1]
    drafter = Knowing((*prompt, *alone))
    assert generate(target, prompt, NEW, drafter=drafter, tree=Budget(5, 2, 10), stop={end}).tokens == wanted


def test_two_processes_write_the_same_and_their_bytes_are_counted(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]
) -> None:
    with elsewhere("random", context=256) as drafter:
        found = generate(target, prompt, NEW, drafter=drafter, tree=Budget(2, 2, 4))
        again = generate(target, prompt, NEW, drafter=Random(), tree=Budget(2, 2, 4))
        drawn = generate(target, prompt, NEW, drafter=drafter, sampling=Sampling(1.0))
        same = generate(target, prompt, NEW, drafter=Random(), sampling=Sampling(1.0))
    assert found.tokens == again.tokens == alone
    assert drawn.tokens == same.tokens
    told = [len(prompt) + 1, *(each.accepted + 1 for each in found.log[:-1])]
    rounds = [each for each in zip(found.log, told, strict=True) if each[0].offered]
    assert [each.bytes for each, _ in rounds] == [drafter.sizes.bytes(new, each.offered) for each, new in rounds]
    first = drawn.log[0]
    assert first.bytes == drafter.sizes.bytes(len(prompt) + 1, first.offered, drawn=True)


def test_a_drafter_that_dies_is_done_without(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]
) -> None:
    class Killing:
        """It ends the drafter after three rounds."""

        def __init__(self, process: int) -> None:
            self._process, self._rounds = process, 0

        def budget(self) -> Budget:
            self._rounds += 1
            if self._rounds == 4:
                os.kill(self._process, signal.SIGKILL)
            return Budget.chain(2)

        def saw(self, found: object) -> None:
            pass

    with elsewhere("random") as drafter:
        found = generate(target, prompt, NEW, drafter=drafter, tree=Killing(drafter.process))
    assert found.tokens == alone
    assert "gone" in found.left
    assert [bool(each.offered) for each in found.log[:5]] == [True, True, True, False, False]


def test_nonsense_is_refused_and_the_target_goes_on(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]
) -> None:
    class Babbling(Telling):
        def propose(self, ask: Ask) -> Tree:
            return Tree.of([1, 2], [1, ROOT])

    class Babbler(Knowing):
        def begin(self, seed: int) -> Telling:
            return Babbling(self)

    found = generate(target, prompt, NEW, drafter=Babbler(()), tree=Budget.chain(3))
    assert found.tokens == alone
    assert "malformed" in found.left


def test_a_drafter_that_does_not_start_says_why() -> None:
    with pytest.raises(WorkError, match="no drafter is called 'oracle'"), elsewhere("oracle"):
        pass


def test_what_does_not_fit_is_refused(target: PreTrainedModel, prompt: list[int]) -> None:
    with pytest.raises(ModelError, match="different vocabularies"):
        generate(target, prompt, 4, drafter=Random(vocabulary=300))
    with pytest.raises(ModelError, match="another width"):
        generate(target, prompt, 4, drafter=Knowing((), width=64))
    with pytest.raises(InputError, match="no room"):
        generate(target, prompt, 5000)
    for wrong in ([], [256]):
        with pytest.raises(InputError, match="a prompt of the target's tokens"):
            generate(target, wrong, 4)


def test_a_tree_that_the_connection_would_not_let_through_is_refused(
    target: PreTrainedModel, prompt: list[int]
) -> None:
    with elsewhere("ngram") as drafter, pytest.raises(InputError, match="at most 64 tokens"):
        generate(target, prompt, 99, drafter=drafter, tree=Budget.chain(70))


def test_a_state_that_cannot_be_taken_back_is_refused() -> None:
    config = {"model_type": "mamba2", "vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_heads": 4,
              "head_dim": 8, "state_size": 8, "expand": 2, "n_groups": 1}  # fmt: skip
    with pytest.raises(ModelError, match="cannot be taken back"):
        Verifier(module(config))


def test_rounds_tell_how_fast_both_are(target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]) -> None:
    found = generate(target, prompt, NEW, drafter=Random(), tree=Trying(3))
    assert found.tokens == alone
    speed = Speed.of(found.log)
    assert (speed.target.counts, speed.draft.counts) == ((1, 2, 3, 4), (1, 2, 3))
    whole = sum(speed.round_s(each.offered) for each in found.log)
    assert whole == pytest.approx(found.seconds, rel=0.01)
    with pytest.raises(InputError, match="alone"):
        Speed.of(found.log[1:4])


def test_the_tuner_gives_up_drafting_that_does_not_pay(
    target: PreTrainedModel, prompt: list[int], alone: tuple[int, ...]
) -> None:
    speed = Speed(Curve((1, 9), (1.0, 1.2)), Curve((1, 8), (0.1, 0.8)))
    tuner = Tuner(speed, weight=0.2)
    found = generate(target, prompt, NEW, drafter=Random(), tree=tuner)
    assert found.tokens == alone
    assert found.log[0].offered > 2
    assert not any(each.offered for each in found.log[-5:])
    kept = Tuner(speed)
    generate(target, prompt, NEW, drafter=Ngram(), tree=kept)
    assert kept.tokens > 0

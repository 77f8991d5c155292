"""A composition for real: answers of the model chosen, one module for all, room for fewer than there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.llm.composition.router import Router, learned
from shoal.llm.composition.served import Composition, generated, write_experts
from shoal.llm.tiny import Tiny
from shoal.llm.tiny.llama import llama
from shoal.store import POLICIES, FileTier, Key, TensorStore, Throttled
from shoal.train.language import Decoder

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

DECODER = Decoder(width=16, layers=1, heads=2, hidden=24, context=32)
NAMES = ("a", "b", "c")
TEXTS = {
    name: np.frombuffer(text * 40, np.uint8)
    for name, text in zip(NAMES, (b"0123 ", b"abcd ", b"WXYZ!"), strict=True)
}


def experts() -> dict[str, Tiny]:
    found = {}
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(seed)
        weights = {each: rng.normal(0, 0.3, shape).astype(np.float32) for each, shape in DECODER.shapes().items()}
        found[name] = llama(DECODER, weights)
    return found


def router() -> Router:
    return learned(TEXTS, "b", places=12, each=20)


@contextmanager
def opened(folder: Path, held: int, rate: float = 0.0) -> Iterator[tuple[Composition, TensorStore]]:
    models, path = experts(), folder / "experts.store"
    names = write_experts(models, path)
    tier = FileTier(path)
    size = max(each.bytes for each in tier.records.values())
    slow = Throttled(tier, rate) if rate else tier
    with TensorStore(slow, held * size, catalog.make(POLICIES, "lru")) as store:
        yield Composition(models["a"].config, names, store, router()), store


@pytest.mark.parametrize("held", [1, 2, 3])
@pytest.mark.parametrize("ahead", [False, True])
def test_answers_are_those_of_the_chosen_model(held: int, ahead: bool, tmp_path: Path) -> None:
    prompts = [b"WXYZ!WXYZ!WX", b"0123 0123 01", b"abcd abcd ab", b"0123 0123 01", b"WXYZ!WXYZ!WX"]
    alone = {name: each.module() for name, each in experts().items()}
    with opened(tmp_path, held) as (composition, store):
        found = list(composition.answers(prompts, 4, ahead=ahead))
        assert [answer.route.expert for answer in found] == ["c", "a", "b", "a", "c"]
        for prompt, answer in zip(prompts, found, strict=True):
            assert answer.tokens == generated(alone[answer.route.expert], prompt, 4)
        assert len({answer.tokens for answer in found}) > 1
        if not ahead:
            assert store.told().hit_rate == pytest.approx({1: 0.0, 2: 0.2, 3: 0.4}[held])


def test_one_module_gives_the_logits_of_each_expert_and_keeps_nothing(tmp_path: Path) -> None:
    tokens = torch.tensor([[1, 2, 3, 200]])
    with opened(tmp_path, 1) as (composition, _), torch.no_grad():
        for name, each in experts().items():
            with composition.expert(name) as module:
                assert torch.equal(module(tokens).logits, each.module()(tokens).logits)
            assert all(weight.is_meta for weight in module.parameters())
        with pytest.raises(RuntimeError, match="inside"), composition.expert("a") as module:
            raise RuntimeError("inside")
        assert all(weight.is_meta for weight in module.parameters())


def test_a_guess_is_copied_in_place_of_the_next(tmp_path: Path) -> None:
    prompts = [b"0123 0123 01", b"abcd abcd ab", b"0123 0123 01"]
    after = {"a": "c", "b": "c", "c": "a"}
    with opened(tmp_path, 2) as (composition, store):
        found = list(composition.answers(prompts, 2, guess=after.__getitem__))
        assert [each.route.expert for each in found] == ["a", "b", "a"]
        assert [each.keys for each in store.told().preloads] == [(Key(2),)] * 3


@pytest.mark.serial
def test_copying_ahead_hides_switches(tmp_path: Path) -> None:
    prompts = [each for _ in range(3) for each in (b"0123 0123 01", b"abcd abcd ab", b"WXYZ!WXYZ!WX")]
    waited = []
    for ahead in (False, True):
        with opened(tmp_path, 2, 2e6) as (composition, _):
            waited.append(sum(each.switch_s for each in list(composition.answers(prompts, 24, ahead=ahead))[1:]))
    assert waited[1] < 0.5 * waited[0]


def test_an_unknown_kind_goes_to_the_default_and_that_is_said() -> None:
    found = router().route(bytes(range(128, 160)))
    assert (found.expert, found.default) == ("b", True)
    assert "as the default: only" in found.said
    sure = router().route(b"WXYZ!WXYZ!WXYZ!")
    assert (sure.expert, sure.default) == ("c", False)
    assert sure.said.startswith("c, ")
    assert replace(router(), threshold=0.0).route(bytes(range(128, 160))).default is False


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="budget holds not even one record"), opened(tmp_path, 0):
        pass
    other = llama(replace(DECODER, hidden=32), {})
    with pytest.raises(InputError, match="of one shape"):
        write_experts({"a": experts()["a"], "other": other}, tmp_path / "x")
    with opened(tmp_path, 1) as (composition, store):
        with pytest.raises(InputError, match="no such expert"), composition.expert("d"):
            pass
        with pytest.raises(InputError, match="do not match"):
            Composition(experts()["a"].config, NAMES[:2], store, router())
        assert Key(0) in store.keys
    with pytest.raises(InputError, match="empty prompt"):
        router().route(b"")
    with pytest.raises(InputError, match="the default is no expert"):
        learned(TEXTS, "z", places=12, each=4)
    with pytest.raises(InputError, match="longer than a stretch"):
        learned(TEXTS, "a", places=1000)

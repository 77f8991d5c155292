"""Every policy and predictor of `shoal.store`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import InputError
from shoal.store import POLICIES, PREDICTORS, Key, Ledger, Policy, Predictor, RoutingTrace

LAYERS, EXPERTS = 3, 4
KEYS = [Key(layer, part) for layer in range(LAYERS) for part in range(EXPERTS)]
uses_of = st.lists(st.sampled_from(KEYS), min_size=1, max_size=60)


def misses(policy: str, uses: Sequence[Key], room: int) -> int:
    """Reads on demand of records alike."""
    found: Policy = catalog.make(POLICIES, policy)
    books, reads = Ledger(dict.fromkeys(KEYS, 1), room, found.keeper(KEYS, uses)), 0
    for key in uses:
        books.hold([key])
        while begun := books.begin():
            books.came(begun.key)
            reads += 1
        books.let_go([key])
    return reads


def fewest(uses: Sequence[Key], room: int) -> int:
    """By trying every choice: sets of what can be there, with the fewest reads that lead to them."""
    states = {frozenset[Key](): 0}
    for key in uses:
        after: dict[frozenset[Key], int] = {}
        for held, reads in states.items():
            options = (
                [held]
                if key in held
                else [held | {key}]
                if len(held) < room
                else [held - {each} | {key} for each in held]
            )
            for option in options:
                cost = reads + (key not in held)
                after[option] = min(cost, after.get(option, cost))
        states = after
    return min(states.values())


@pytest.mark.parametrize("name", catalog.names(POLICIES))
@given(uses=uses_of, room=st.integers(1, 6))
def test_no_policy_reads_less_than_the_oracle(name: str, uses: list[Key], room: int) -> None:
    assert misses(name, uses, room) >= misses("oracle", uses, room)


@given(uses=st.lists(st.sampled_from(KEYS[:6]), min_size=1, max_size=14), room=st.integers(1, 3))
def test_the_oracle_reads_as_little_as_can_be(uses: list[Key], room: int) -> None:
    assert misses("oracle", uses, room) == fewest(uses, room)


@pytest.mark.parametrize("room", [2, 3, 5])
def test_on_a_circle_lru_never_hits_and_the_order_of_layers_is_as_good_as_the_oracle(room: int) -> None:
    uses = [Key(layer) for layer in range(6)] * 8
    sizes = dict.fromkeys([Key(layer) for layer in range(6)], 1)

    def reads(policy: str) -> int:
        found: Policy = catalog.make(POLICIES, policy)
        books, count = Ledger(sizes, room, found.keeper(list(sizes), uses)), 0
        for key in uses:
            books.hold([key])
            while begun := books.begin():
                books.came(begun.key)
                count += 1
            books.let_go([key])
        return count

    assert reads("lru") == reads("fifo") == len(uses)
    assert reads("cyclic") == reads("oracle")
    assert reads("oracle") <= reads("distance") < reads("lru")


def test_the_oracle_has_to_be_told() -> None:
    with pytest.raises(InputError, match="told all uses"):
        catalog.make(POLICIES, "oracle").keeper(KEYS)


def trace(tokens: int = 200, seed: int = 0) -> RoutingTrace:
    """Every token of a kind goes its own way; the kinds are unlike in number."""
    source = np.random.default_rng(seed)
    kinds = source.choice(EXPERTS, tokens, p=[0.1, 0.2, 0.3, 0.4])
    first = np.stack([(kinds + layer) % EXPERTS for layer in range(LAYERS)], 1)
    chosen = np.stack([first, (first + 1) % EXPERTS], 2).astype(np.int16)
    foreseen = chosen.copy()
    foreseen[:, 0] = -1
    return RoutingTrace(
        EXPERTS, chosen, np.full(chosen.shape, 0.5, np.float32), foreseen, np.arange(tokens, dtype=np.int32) // 10
    )


@pytest.mark.parametrize("name", catalog.names(PREDICTORS))
def test_scores_are_one_for_each_expert_and_learning_goes_on(name: str) -> None:
    learn, test = trace().split()
    predictor: Predictor = catalog.make(PREDICTORS, name)
    guess, hits = predictor.learned(learn), 0
    for token, foreseen in zip(test.chosen.tolist(), test.foreseen.tolist(), strict=True):
        for layer, chosen in enumerate(token):
            scores = guess.scores(layer, token[:layer], foreseen[layer])
            assert scores.shape == (EXPERTS,)
            assert np.isfinite(scores).all()
            assert (scores >= 0).all()
            guess.saw(layer, token[:layer], chosen)
            hits += layer > 0 and set(np.argsort(-scores)[:2].tolist()) == set(chosen)
    share = hits / (test.tokens * (LAYERS - 1))
    assert share == 1.0 if name in ("path_table", "next_router") else share < 0.7


def test_the_next_router_must_have_been_asked() -> None:
    found = trace()
    silent = RoutingTrace(
        found.experts, found.chosen, found.weights, np.full_like(found.foreseen, -1), found.documents
    )
    with pytest.raises(InputError, match="no router was asked"):
        catalog.make(PREDICTORS, "next_router").learned(silent)

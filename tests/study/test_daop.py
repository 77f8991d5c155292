"""The parts of the study of DAOP: text of kinds, deep routes from shallow ones, simulated caches against counting."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from shoal.cost.hosted_experts import Pace
from shoal.errors import InputError
from shoal.plan.hosted_experts import EXACT
from shoal.store import NOBODY, RoutingTrace
from shoal.study._daop_simulated import Sequences, pace_of, texts_of
from shoal.study._daop_text import KINDS, rows, stacked
from shoal.train.language import corpus

PACE = Pace(slow_s=5.0, load_s=40.0, attention_s=1.0, fast_s=0.25)


def routes(texts: int, tokens: int, layers: int = 2, experts: int = 4) -> RoutingTrace:
    source = np.random.default_rng(0)
    chosen, foreseen = (
        np.argsort(source.random((texts * tokens, layers, experts)), axis=2)[:, :, :2].astype(np.int16)
        for _ in range(2)
    )
    foreseen[:, 0] = NOBODY
    documents = np.repeat(np.arange(texts, dtype=np.int32), tokens)
    return RoutingTrace(experts, chosen, np.full(chosen.shape, 0.5, np.float32), foreseen, documents)


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_every_kind_is_from_all_over_it(kind: str) -> None:
    found = rows(kind, 5, 96)
    assert found.shape == (5, 96)
    assert len({row.tobytes() for row in found}) == 5
    with pytest.raises(InputError, match=f"not enough text of the kind '{kind}'"):
        rows(kind, 10**6, 96)


def test_source_is_without_what_models_have_learned() -> None:
    learned = {each for each in corpus()[0].tobytes().split(b"\n\n") if len(each) > 80}
    code = KINDS["code"]()
    assert not any(each in code for each in list(learned)[::50])
    ast.parse(code[: code.index(b"\n\nfrom ", 20_000)])


def test_a_deep_trace_has_each_group_from_another_text() -> None:
    shallow = routes(3, 4)
    deep = stacked(shallow, 6)
    assert (deep.tokens, deep.layers) == (12, 6)
    one, two, three = (each.chosen for each in texts_of(shallow))
    np.testing.assert_array_equal(texts_of(deep)[0].chosen, np.concatenate([one, three, two], 1))
    assert (deep.foreseen[:, ::2] == NOBODY).all()
    assert (deep.foreseen[:, 1::2] != NOBODY).all()


def test_on_demand_takes_a_load_for_every_expert_that_is_not_there() -> None:
    """Counted by hand: the least recently used leaves."""
    trace = routes(3, 6)
    found = Sequences(trace, texts_of(trace), 2).cached(0.5, PACE, ahead=False)
    here, misses, taken_s = list[tuple[int, int]](), 0, 0.0
    for number, text in enumerate(texts_of(trace)):
        for which in (slice(0, 2), *(slice(at, at + 1) for at in range(2, 6))):
            for layer in range(2):
                met = [(layer, each) for each in np.unique(text.chosen[which, layer]).tolist()]
                misses = sum(each not in here for each in met)
                here = [each for each in here if each not in met]
                here = [*here[max(0, len(here) + len(met) - 4) :], *met]
                taken_s += (PACE.attention_s + misses * PACE.load_s + len(met) * PACE.fast_s) * bool(number)
    assert found == pytest.approx(8 / taken_s)


def test_memory_for_all_leaves_nothing_to_load_or_to_ask() -> None:
    trace = routes(3, 6)
    made = Sequences(trace, texts_of(trace), 2)
    for ahead in (False, True):
        assert made.cached(1.0, PACE, ahead=ahead) <= made.shared(1.0, PACE, EXACT)
    prompts = sum(len(np.unique(text.chosen[:2, layer])) for text in made.texts[1:] for layer in range(2))
    wanted_s = 2 * 5 * 2 * PACE.attention_s + (prompts + 2 * 4 * 2 * 2) * PACE.fast_s
    assert made.shared(1.0, PACE, EXACT) == pytest.approx(8 / wanted_s)


def test_a_layer_on_a_card_is_the_reading_of_its_weights() -> None:
    pace = pace_of("A100", 5e-3, 40e-3)
    assert pace.fast_s == pytest.approx(352e6 / 1.555e12, rel=2e-3)
    assert not pace.hidden(1, 1)

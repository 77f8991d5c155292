"""Node-limited routing: few nodes for every token, transformers' own choice, counts of crossings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.llm.routing import Routing


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_token_has_more_nodes_than_allowed(data: st.DataObject) -> None:
    nodes, on_node = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    most = data.draw(st.integers(1, nodes))
    routing = Routing(nodes * on_node, data.draw(st.integers(1, most * on_node)), nodes, most)
    source = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scores = source.integers(0, 4, (20, routing.experts)) / 4  # many ties
    bias = source.standard_normal(routing.experts)
    found = routing.choose(scores, bias)
    assert found.shape == (20, routing.chosen)
    for row, own in zip(found, scores + bias, strict=True):
        assert len(set(row)) == routing.chosen
        used = set(row // on_node)
        assert len(used) <= most
        inside = np.isin(np.arange(routing.experts) // on_node, list(used))
        worst = own[row].min()
        rest = np.setdiff1d(np.flatnonzero(inside), row)
        assert (own[rest] <= worst).all()  # the best of the nodes that are used


def test_without_a_limit_the_best_experts_are_chosen() -> None:
    scores = np.random.default_rng(0).random((50, 64))
    found = Routing(64, 6, 8, 8).choose(scores)
    np.testing.assert_array_equal(np.sort(found), np.sort(np.argsort(scores)[:, -6:]))


def test_it_is_the_router_of_transformers() -> None:
    torch, theirs = (
        pytest.importorskip("torch"),
        pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3"),
    )
    from transformers import DeepseekV3Config

    config = DeepseekV3Config(n_routed_experts=64, num_experts_per_tok=6, n_group=8, topk_group=3, hidden_size=32)
    router = theirs.DeepseekV3TopkRouter(config)
    generator = torch.Generator().manual_seed(0)
    router.weight.data = torch.randn(64, 32, generator=generator)
    router.e_score_correction_bias.data = torch.randn(64, generator=generator) / 10
    with torch.no_grad():
        logits, _, chosen = router(torch.randn(200, 32, generator=generator))
    found = Routing(64, 6, 8, 3).choose(logits.sigmoid().numpy(), router.e_score_correction_bias.numpy())
    np.testing.assert_array_equal(np.sort(found), np.sort(chosen.numpy()))


def test_crossings_by_hand() -> None:
    routing = Routing(8, 3, 4, 4)  # two experts on each node
    chosen, homes = np.array([[0, 1, 7], [2, 3, 4]]), np.array([0, 0])
    assert routing.crossings(chosen, homes, once=False) == 1 + 3
    assert routing.crossings(chosen, homes, once=True) == 1 + 2


@pytest.mark.parametrize(
    ("sizes", "told"),
    [((10, 2, 4, 2), "do not share 10 experts"), ((8, 5, 4, 2), "not chosen"), ((8, 2, 4, 5), "not chosen")],
)
def test_what_does_not_fit_is_refused(sizes: tuple[int, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Routing(*sizes)
    with pytest.raises(InputError, match="no scores"):
        Routing(8, 2).choose(np.full((1, 8), np.nan))

"""Experts placed: texts split by document, bytes of real processes foreseen, exchanges link by link."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.plan.experts import ExpertPlacement, ExpertShape, flows, placed, problem
from shoal.study._moetuner_fleets import Nodes
from tests.plan.experts.cases import drawn

pytest.importorskip("highspy")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_bytes_between_real_processes_are_those_foreseen() -> None:
    """Under a placement that no technique would choose, and on tokens that do not divide evenly."""
    from shoal.llm.expert_parallel import Ways, parallel
    from shoal.llm.routes import recorded
    from shoal.llm.tiny import tiny
    from shoal.study._moetuner_workers import foreseen_bytes
    from shoal.train.language import corpus, stretches

    model, workers = tiny("mixtral").module(), 3
    symbols = stretches(corpus()[1][: 2 * 32 + 1], 32).x
    placement = ExpertPlacement.of(np.random.default_rng(0).integers(workers, size=(4, 8)))
    routes = recorded(model, symbols)
    with torch.no_grad():
        alone = model(torch.from_numpy(symbols), use_cache=False).logits
        with parallel(model, placement.array, Ways(mode="shards"), workers) as there:
            found = model(torch.from_numpy(symbols), use_cache=False).logits
            sent = there.traffic.by_layer(4)[:, :-1, :-1]
    assert (found - alone).abs().max() <= 1e-5 * alone.abs().max()
    np.testing.assert_array_equal(sent, foreseen_bytes(placement, routes, workers, model.config.hidden_size))
    other = ExpertPlacement.of(1 - np.minimum(placement.array, 1))
    assert (sent != foreseen_bytes(other, routes, workers, model.config.hidden_size)).any()


def test_documents_are_of_their_kind_and_none_is_in_both_halves() -> None:
    from shoal.study._moetuner_text import _texts, routes

    docstrings, source = (set(_texts(kind, 20, 512)) for kind in ("docstrings", "source"))
    assert len(docstrings) == len(source) == 20
    assert not docstrings & source
    assert sum(b"import " in each for each in source) > sum(b"import " in each for each in docstrings)
    profile, test = routes("mixtral", ("topics",), 4, 2).split()
    assert profile.tokens == test.tokens == 2 * 2 * 128
    assert not set(profile.documents.tolist()) & set(test.documents.tolist())


def test_a_port_that_is_busy_takes_as_long_link_by_link() -> None:
    """All that crosses leaves one host: the simulated exchange waits for its port as the evaluator does."""
    nodes, shape = Nodes(2, 1e9), ExpertShape.gated(64, 64)
    routes = drawn(0, tokens=400, experts=8)
    fleet = nodes.fleet(shape, 24)
    asked = problem(flows(routes, 8, homes=np.zeros(400, np.int64)), fleet, shape)
    found = asked.evaluated(placed("contiguous", asked).placement)
    exchanged = nodes.exchanged_s(found)
    assert found.exchange_s * 0.999 <= exchanged <= 1.3 * found.exchange_s

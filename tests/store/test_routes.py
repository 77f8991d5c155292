"""Routes are kept and read again as they were, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.store import RoutingTrace, joined


def trace(tokens: int = 12, documents: int = 4) -> RoutingTrace:
    source = np.random.default_rng(tokens)
    chosen = source.integers(0, 8, (tokens, 3, 2)).astype(np.int16)
    foreseen = chosen.copy()
    foreseen[:, 0] = -1
    weights = source.random((tokens, 3, 2), np.float32)
    return RoutingTrace(8, chosen, weights, foreseen, (np.arange(tokens) * documents // tokens).astype(np.int32))


def test_a_trace_comes_back_from_its_file(tmp_path: Path) -> None:
    trace().save(tmp_path / "routes.npz")
    found = RoutingTrace.load(tmp_path / "routes.npz")
    assert (found.experts, found.tokens, found.layers, found.per_token) == (8, 12, 3, 2)
    for name in ("chosen", "weights", "foreseen", "documents"):
        np.testing.assert_array_equal(getattr(found, name), getattr(trace(), name))


def test_texts_are_split_and_loads_are_counted() -> None:
    whole = trace()
    learn, test = whole.split()
    assert (sorted(set(learn.documents)), sorted(set(test.documents))) == ([0, 2], [1, 3])
    assert (learn.loads() + test.loads() == whole.loads()).all()
    assert whole.loads().sum() == 12 * 3 * 2
    assert whole.split(4)[1].tokens == 3
    assert (whole.of_tokens(slice(4, 9)).chosen == whole.chosen[4:9]).all()
    with pytest.raises(InputError, match="no routes"):
        whole.of_tokens(slice(12, None))
    with pytest.raises(InputError, match="too few texts"):
        trace(documents=1).split()


def test_traces_of_one_model_are_joined() -> None:
    both = joined([trace(), trace(8, 2)])
    assert both.documents.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 4 + [5] * 4
    assert both.tokens == 20


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    found = trace()
    with pytest.raises(InputError, match="not there"):
        RoutingTrace(2, found.chosen, found.weights, found.foreseen, found.documents)
    with pytest.raises(InputError, match="no routes"):
        RoutingTrace(8, found.chosen, found.weights[:3], found.foreseen, found.documents)
    (tmp_path / "text").write_text("no archive")
    np.savez(tmp_path / "other.npz", chosen=found.chosen)
    for name in ("text", "other.npz", "nothing"):
        with pytest.raises(InputError, match="no routes"):
            RoutingTrace.load(tmp_path / name)

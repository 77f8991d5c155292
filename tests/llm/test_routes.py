"""Routes that are recorded are those the model takes."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.llm.experts._blocks import blocks
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.train.language import corpus, stretches

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def text(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    _, held = corpus()
    return stretches(held[: rows * 64 + 1], 64).x


def test_routes_are_those_that_change_the_answer() -> None:
    model, symbols = tiny("mixtral").module(), text(3)
    trace = recorded(model, symbols, [0, 0, 1])
    assert (trace.experts, trace.layers, trace.per_token, trace.tokens) == (8, 4, 2, symbols.size)
    assert np.bincount(trace.documents).tolist() == [2 * symbols.shape[1], symbols.shape[1]]
    np.testing.assert_allclose(trace.weights.sum(-1), 1, rtol=1e-5)
    before = model(torch.from_numpy(symbols)).logits
    unused = [
        (layer, expert)
        for layer, loads in enumerate(trace.loads())
        for expert, load in enumerate(loads)
        if not load
    ]
    with torch.no_grad():
        for layer, expert in unused:
            blocks(model)[layer].experts.down_proj[expert] = float("nan")
        assert torch.equal(model(torch.from_numpy(symbols)).logits, before)
        busiest = int(trace.loads()[2].argmax())
        blocks(model)[2].experts.down_proj[busiest] = float("nan")
        hit = torch.isnan(model(torch.from_numpy(symbols)).logits).any(-1).flatten().numpy()
    first = np.flatnonzero((trace.chosen[:, 2] == busiest).any(-1))[0]
    assert hit[first]
    assert not hit[:first].any()


def test_what_was_foreseen_is_the_next_router_on_the_state_before() -> None:
    trace = recorded(tiny("mixtral").module(), text(4))
    assert (trace.foreseen[:, 0] == -1).all()
    right = [
        np.mean([len(set(a) & set(b)) for a, b in zip(trace.foreseen[:, at], trace.chosen[:, at], strict=True)]) / 2
        for at in range(1, 4)
    ]
    assert min(right) > 2 / 8  # drawn evenly
    assert max(right) > 0.5


def test_models_without_experts_and_other_numbers_of_documents_are_refused() -> None:
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        recorded(tiny("llama").module(), text(1))
    with pytest.raises(InputError, match="for each row"):
        recorded(tiny("mixtral").module(), text(2), [0])

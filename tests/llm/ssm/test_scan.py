"""The scan in chunks is the recurrence, whatever the chunk; in transformers' modules it answers as theirs does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError, ModelError
from shoal.llm.modules import module
from tests.llm import models

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from shoal.llm.profile.passes import prefill, step
from shoal.llm.ssm import chunked, scopes
from shoal.llm.ssm.scan import SEGMENT, Inputs, in_chunks, stepwise


def drawn(tokens: int, groups: int = 2, seed: int = 0, decay: float = 1.0) -> Inputs:
    batch, heads, channels, state = 2, 4, 6, 5
    source = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Any:
        return torch.randn(*shape, generator=source)

    return Inputs(
        x=some(batch, tokens, heads, channels),
        steps=torch.nn.functional.softplus(some(batch, tokens, heads)),
        decay=-decay * torch.arange(1.0, heads + 1),
        writing=some(batch, tokens, groups, state),
        reading=some(batch, tokens, groups, state),
        skip=some(heads),
        state=some(batch, heads, channels, state),
    )


def off(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@given(st.integers(1, 150), st.integers(1, 200), st.sampled_from([1, 2, 4]), st.sampled_from([1e-3, 1.0, 30.0]))
@settings(max_examples=40, deadline=None)
def test_chunks_are_the_recurrence(tokens: int, chunk: int, groups: int, decay: float) -> None:
    inputs = drawn(tokens, groups, seed=tokens, decay=decay)
    wanted, found = stepwise(inputs), in_chunks(inputs, chunk)
    assert off(found.outputs, wanted.outputs) < 1e-4
    assert off(found.state, wanted.state) < 1e-4


def test_more_tokens_than_are_in_memory_at_once() -> None:
    inputs = drawn(SEGMENT + 100)
    assert off(in_chunks(inputs, 64).outputs, stepwise(inputs).outputs) < 1e-4


def test_a_sequence_in_two_goes_is_the_whole() -> None:
    inputs = drawn(90)
    whole = in_chunks(inputs, 16)
    parts = [Inputs(x, steps, inputs.decay, writing, reading, inputs.skip, inputs.state) for x, steps, writing, reading
             in (inputs.within(0, 37), inputs.within(37, 90))]  # fmt: skip
    first = in_chunks(parts[0], 16)
    second = in_chunks(Inputs(**{**vars(parts[1]), "state": first.state}), 16)
    assert off(torch.cat([first.outputs, second.outputs], 1), whole.outputs) < 1e-5
    assert off(second.state, whole.state) < 1e-5


def test_a_chunk_without_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="chunk"):
        in_chunks(drawn(3), 0)


def states(cache: Any) -> list[Any]:
    return [each.recurrent_states[0] for each in cache.layers if hasattr(each, "recurrent_states")]


@pytest.mark.parametrize("config", [models.MAMBA2, models.BAMBA], ids=lambda each: each["model_type"])
@pytest.mark.parametrize("chunk", [7, 64])
def test_a_model_answers_as_with_the_stock_scan(config: dict[str, Any], chunk: int) -> None:
    model, symbols = module(config), torch.arange(45)[None]
    with torch.no_grad():
        stock = prefill(model, symbols)
        with chunked(model, chunk):
            found = prefill(model, symbols)
        again = prefill(model, symbols)
    assert off(found.logits, stock.logits) < 1e-4
    assert torch.equal(again.logits, stock.logits)
    for ours, theirs in zip(states(found.cache), states(stock.cache), strict=True):
        assert off(ours, theirs) < 1e-4
    assert not any("forward" in vars(each) for each in model.modules())


@pytest.mark.parametrize("config", [models.MAMBA2, models.BAMBA], ids=lambda each: each["model_type"])
def test_states_of_decode_steps_are_those_of_a_prefill(config: dict[str, Any]) -> None:
    model, symbols = module(config), torch.arange(40)[None]
    with torch.no_grad(), chunked(model, 16):
        whole = prefill(model, symbols)
        found = prefill(model, symbols[:, :30], chunk=11)
        for at in range(30, 40):
            found = step(model, symbols[:, at : at + 1], found)
    assert off(found.logits, whole.logits) < 1e-4
    for ours, theirs in zip(states(found.cache), states(whole.cache), strict=True):
        assert off(ours, theirs) < 1e-4


def test_scopes_show_in_the_profiler_with_either_scan() -> None:
    model, symbols = module(models.MAMBA2), torch.arange(40)[None]
    with torch.no_grad(), chunked(model), scopes(model), torch.profiler.profile() as told:
        model(symbols)
    counts = {each.key: each.count for each in told.key_averages()}
    assert counts["ssm_scan"] == counts["ssm_conv"] == 2


def test_a_model_without_such_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="no layer has the scan"), chunked(module(models.LLAMA)):
        pass

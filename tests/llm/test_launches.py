"""What language models launch: counted without weights, traced, and made again elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from shoal.errors import InputError, ModelError
from shoal.llm import architecture
from shoal.llm.launches import calls_of, decode, encoder, prefill, prefill_work, traced
from shoal.llm.tiny import tiny
from shoal.measure.queue.replay import Replay
from shoal.measure.trace import host_kernels, host_metrics

CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}  # fmt: skip


def test_arithmetic_of_a_prefill_is_what_the_architecture_says() -> None:
    batch, tokens = 3, 8
    works = prefill_work(CONFIG, batch, tokens)
    products = sum(work.flop for work in works if work.product)
    known = architecture(CONFIG)
    head = 2 * known.vocabulary * known.width
    each = 2 * (
        known.parameters - known.vocabulary * known.width - 7 * known.width
    )  # of products, without attention's
    attended = 3 * 2 * 2 * 64 * tokens
    assert products == batch * (tokens * (each + attended) + head)


def test_kernels_grow_with_the_batch_but_not_their_number() -> None:
    two, four = (prefill_work(CONFIG, batch, 8) for batch in (2, 4))
    assert [work.name for work in two] == [work.name for work in four]
    assert sum(work.flop for work in four if work.product) == 2 * sum(work.flop for work in two if work.product)
    assert sum(work.moved_bytes for work in four) < 2 * sum(work.moved_bytes for work in two)


def test_a_decode_made_again_gives_the_same_logits() -> None:
    model = tiny("llama").module()
    work = calls_of(decode(model, 6, 2))
    with torch.no_grad():
        wanted = decode(model, 6, 2)()
    device = Replay(work)
    device.run(range(len(work.calls)))
    np.testing.assert_array_equal(device.output(), wanted.flatten().numpy())
    assert len(work.stops) == 2


def test_sums_of_a_real_trace_add_up() -> None:
    torch.set_num_threads(1)
    bert = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "vocab_size": 50}  # fmt: skip
    trace = traced(prefill(encoder(bert), 2, 8))
    found = host_metrics(trace)
    assert not trace.kernels
    assert all(trace.own_s(at) >= -1e-6 * len(called) for at, called in enumerate(trace.children))
    assert found.inside_s <= found.latency_s + 1e-6 * found.calls
    assert {"aten::addmm", "aten::gelu", "aten::native_layer_norm"} <= {
        trace.operators[at].name for at in host_kernels(trace)
    }


def test_what_cannot_be_launched() -> None:
    with pytest.raises(InputError):
        prefill_work(CONFIG, 0, 8)
    with pytest.raises(ModelError, match="no model of the kind"):
        prefill_work({**CONFIG, "model_type": "lama"}, 1, 8)
    once = decode(tiny("llama").module(), 2, 1)
    once()
    with pytest.raises(InputError, match="already"):
        once()

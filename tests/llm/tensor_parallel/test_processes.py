"""A model in parts in real processes: logits, text, bytes, and an end when one is lost."""

from __future__ import annotations

import pytest

from shoal.errors import InputError
from shoal.llm.offload.kept import stored_tiny
from shoal.llm.tensor_parallel import answers
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

TOKENS = tuple(b"class Shape:")


def test_two_processes_answer_as_one_by_every_way_to_exchange() -> None:
    model = tiny("llama")
    alone, symbols = model.module(), torch.tensor([TOKENS])
    with torch.no_grad():
        wanted = alone(symbols).logits[0, -1]
        text = alone.generate(symbols, max_new_tokens=5, min_new_tokens=5, do_sample=False)[0, len(TOKENS) :]
    ways = ("pool", "ring", "direct")
    for way, told in zip(ways, answers(stored_tiny(model), TOKENS, 2, ways, new=5), strict=True):
        torch.testing.assert_close(torch.tensor(told.logits), wanted, atol=1e-5, rtol=1e-5)
        assert told.given == tuple(text.tolist())
        assert len(told.seconds) == 6
        whole = sum(each.nbytes for each in model.weights.values())
        assert max(told.weight_bytes) < 0.51 * whole
        # Two sums a layer and one of the embedding, each of the tokens of the step; then the logits of one place.
        width, vocabulary, layers = (
            model.config[each] for each in ("hidden_size", "vocab_size", "num_hidden_layers")
        )
        sums = 4 * width * (2 * layers + 1) * (len(TOKENS) + 5)
        gathered = 6 * 4 * vocabulary // 2
        begun = 200 if way == "pool" else 0  # bytes at most that it takes to begin
        assert all(0 <= each - sums - gathered <= begun for each in told.sent_bytes)


def test_more_processes_than_heads_are_refused() -> None:
    with pytest.raises(InputError, match=r"needed 1 to 6 members, had 7"):
        answers(stored_tiny(tiny("llama")), TOKENS, 7, ("pool",))

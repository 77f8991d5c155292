"""Steps in a process of its own: the same tokens, memory within the budget as seen from outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import WorkError
from shoal.llm.offload.kept import stored_tiny
from shoal.llm.offload.timed import Job, run, run_all
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = tuple(b"The name of the module")


def test_tokens_are_those_of_the_model_in_memory_and_a_limit_is_said() -> None:
    model = tiny("llama")
    kept = stored_tiny(model, 64 << 10)
    total = sum(each.nbytes for each in model.weights.values())
    job = Job(str(kept.path.parent), total // 3, 1, PROMPT, new=6)
    found = run(job)
    made = model.module()
    with torch.no_grad():
        wanted = made.generate(torch.tensor([PROMPT]), max_new_tokens=6, do_sample=False)[0, len(PROMPT) :]
        logits = made(torch.tensor([PROMPT])).logits[0, -1].numpy()
    assert found.answer.given == tuple(wanted.tolist())
    np.testing.assert_allclose(found.answer.logits, logits, atol=1e-5)
    assert len(found.answer.seconds) == 7
    assert found.answer.told.peak_bytes <= total // 3
    assert 10e6 < found.before_bytes <= found.peak_bytes
    with pytest.raises(WorkError, match=r"ended early.*budget holds not even one record"):
        run(replace(job, budget_bytes=8192))


def test_a_store_is_held_to_a_rate_by_the_first_jobs_steps() -> None:
    kept = stored_tiny(tiny("llama"), 64 << 10)
    first = Job(str(kept.path.parent), 8 << 20, 1, PROMPT, repeats=2)
    resident, other = run_all([first, replace(first, slower=2.0)])
    size = sum(each for _, each in other.told.sizes)
    assert other.told.tier.read_bytes_per_s == pytest.approx(size / (2 * resident.seconds[1]))
    assert other.told.tier.emulated
    assert not resident.told.tier.emulated
    assert other.logits == resident.logits

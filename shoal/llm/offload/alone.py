"""`python -m shoal.llm.offload.alone`: steps of a model whose weights come from a store, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from shoal import catalog
from shoal.llm.library import transformers_module
from shoal.llm.offload.kept import WEIGHTS, stored_at
from shoal.llm.offload.layers import offloaded
from shoal.llm.offload.timed import Job, Steps
from shoal.measure.watched import worked
from shoal.store import POLICIES, FileTier, TensorStore, Throttled, Tier


def main(jobs: tuple[Job, ...]) -> tuple[Steps, ...]:
    """One job after another."""
    transformers_module("torch").set_num_threads(1)
    done: list[Steps] = []
    for job in jobs:
        done.append(_done(job, min(done[0].seconds[1:]) if job.slower else 0.0))
    return tuple(done)


def _done(job: Job, step_s: float) -> Steps:
    """All steps of one, timed; `step_s` is a step of the first job."""
    torch = transformers_module("torch")
    found = stored_at(Path(job.folder, WEIGHTS))
    tier: Tier = FileTier(found.path, name="disk")
    rate = job.read_bytes_per_s
    if job.slower:
        rate = sum(each.bytes for each in tier.records.values()) / (job.slower * step_s)
    if rate:
        tier = Throttled(tier, rate, job.latency_s)
    with (
        TensorStore(tier, job.budget_bytes, catalog.make(POLICIES, job.policy)) as store,
        offloaded(found.facts.config, found.laid, store, job.ahead) as model,
        torch.no_grad(),
    ):
        return _stepped(model, store, job)


def _stepped(model: Any, store: TensorStore, job: Job) -> Steps:
    torch = transformers_module("torch")
    symbols, cache, given, seconds, ended_s = torch.tensor([job.tokens]), None, [], [], []
    first: list[float] = []
    for _ in range(max(job.repeats, 1 + job.new)):
        begun_s = time.perf_counter()
        answer = model(
            symbols, past_key_values=cache, use_cache=bool(job.new), logits_to_keep=0 if job.every else 1
        )
        seconds.append(time.perf_counter() - begun_s)
        ended_s.append(store.now_s())
        last = answer.logits[0, -1]
        first = first or last.tolist()
        if job.new:
            cache, symbols = answer.past_key_values, last.argmax().view(1, 1)
            given.append(int(symbols))
    return Steps(tuple(given[: job.new]), tuple(first), tuple(seconds), tuple(ended_s), store.told())


if __name__ == "__main__":
    transformers_module()
    transformers_module("torch")
    worked(main, tuple[Job, ...])

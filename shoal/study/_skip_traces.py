"""The study of SKIP: models on this machine as torch.profiler sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import InputError
from shoal.llm.launches import encoder, prefill, traced
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.llm.tiny import tiny
from shoal.measure.trace import HostMetrics, Trace, host_metrics, queue_metrics
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING_S = 1e-6  # of a file's figures, by event
MINILM = {
    "model_type": "bert",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "vocab_size": 30522,
}  # all-MiniLM-L6-v2
GEMMA = {
    "model_type": "gemma3_text",
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262144,
    "sliding_window": 512,
}  # Gemma-3-270M; what it takes does not depend on the values of its weights


@dataclass(frozen=True)
class Seen:
    """One model, profiled once and timed without the profiler."""

    name: str
    trace: Trace
    metrics: HostMetrics
    plain_s: float  # latency without the profiler, the least of the rounds


def seen(name: str, batch: int, tokens: int, rounds: int) -> Seen:
    """A prefill of the model called `name`.

    Raises:
        InputError: no such model.
    """
    call = prefill(_model(name), batch, tokens)
    plain_s = min(_seconds(call) for _ in range(rounds + 1))
    trace = traced(call)
    return Seen(name, trace, host_metrics(trace), plain_s)


def shown(found: Sequence[Seen]) -> Iterator[Shown]:
    """Whether sums add up, that nothing is called a queue, and where the time goes."""
    yield Finding("consistent", all(_adds_up(each.trace, each.metrics) for each in found), "measured",
                  sum(each.metrics.operators for each in found))  # fmt: skip
    yield Finding("no_queue", all(_no_queue(each.trace) for each in found), "measured", len(found))
    rows = [
        (each.name, each.metrics.operators, each.metrics.kernels, each.metrics.latency_s * 1e3, each.plain_s * 1e3,
         each.metrics.kernel_s * 1e3, each.metrics.dispatch_s * 1e3, each.metrics.idle_s * 1e3)
        for each in found
    ]  # fmt: skip
    yield Table("Prefill on this machine, in ms", ("model", "operators", "kernels", "latency", "without profiler",
                                                   "kernels'", "dispatch", "between operators"), rows)  # fmt: skip


def _model(name: str) -> Any:
    if name == "minilm":
        return encoder(MINILM)
    if name == "gemma3":
        return module(GEMMA)
    return tiny(name).module()


def _seconds(call: Callable[[], Tensor]) -> float:
    begun = time.monotonic()
    with transformers_module("torch").no_grad():
        call()
    return time.monotonic() - begun


def _adds_up(trace: Trace, metrics: HostMetrics) -> bool:
    """Called operators take no longer than their callers, and a thread no longer than the whole."""
    inside = all(
        trace.own_s(place) >= -ROUNDING_S * len(called) for place, called in enumerate(trace.children) if called
    )
    threads = {operator.thread for operator in trace.operators}
    sums = [
        sum(trace.operators[at].seconds for at in trace.roots if trace.operators[at].thread == each)
        for each in threads
    ]
    return inside and all(each <= metrics.latency_s + ROUNDING_S * metrics.calls for each in sums)


def _no_queue(trace: Trace) -> bool:
    """Whether no TKLQT is given for work that never was in a queue; with a device there is one to give."""
    try:
        queue_metrics(trace)
    except InputError:
        return True
    return bool(trace.kernels)

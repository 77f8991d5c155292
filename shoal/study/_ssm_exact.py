"""The scan in chunks held against the recurrence, and states of decode steps against those of a prefill."""

from __future__ import annotations

from typing import Any

from shoal.errors import ShoalError
from shoal.study import Finding
from shoal.study._ssm_models import QWEN_500M, matched

SHAPES = ((1, 64), (63, 64), (64, 64), (300, 7), (300, 64), (300, 256), (700, 100), (2500, 64))  # tokens and chunk
SPLIT, TOKENS = 50, 70  # of a prompt: read at once, and in all


def scans(seed: int) -> Finding:
    """The worst of several lengths and chunks, of what is largest."""
    from shoal.llm.ssm.scan import in_chunks, stepwise

    worst = []
    for tokens, chunk in SHAPES:
        inputs = _drawn(tokens, seed)
        wanted, found = stepwise(inputs), in_chunks(inputs, chunk)
        worst += [_off(found.outputs, wanted.outputs), _off(found.state, wanted.state)]
    return Finding(
        "exact", max(worst), "computed", len(SHAPES), (min(worst), max(worst)), "interval: outputs and states"
    )


def states(width: int, layers: int, chunk: int) -> Finding:
    """Of the models with scans."""
    worst = [_steps_off(each) for each in matched(width, layers, chunk, ("mamba2-chunked", "bamba-chunked"))]
    return Finding(
        "states",
        max(worst),
        "computed",
        len(worst),
        (min(worst), max(worst)),
        "logits and states; interval: models",
    )


def refused(width: int, layers: int, chunk: int) -> Finding:
    """A kind of layer that nothing is known of, a model that does not exist, and a prompt longer than its positions."""
    from shoal.llm.profile import Point, Subject, memory

    llama = matched(width, layers, chunk, ("llama",))[0]
    short = {**llama.config, "max_position_embeddings": 64}
    experts = QWEN_500M | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
    told = [
        _told(lambda: memory(Subject("experts", experts), Point(64))),
        _told(lambda: Subject("mamba9", {**llama.config, "model_type": "mamba9"}).check(64)),
        _told(lambda: Subject("short", short).check(65)),
    ]
    return Finding("refused", all(told), "computed", len(told), why="; ".join(told))


def _told(work: Any) -> str:
    try:
        work()
    except ShoalError as fault:
        return fault.message
    return ""


def _steps_off(subject: Any) -> float:
    from shoal.llm.profile.passes import prefill, prompt, step

    with subject.opened() as model:
        symbols = prompt(model, 1, TOKENS)
        whole, found = prefill(model, symbols), prefill(model, symbols[:, :SPLIT])
        for at in range(SPLIT, TOKENS):
            found = step(model, symbols[:, at : at + 1], found)
    pairs = zip(_states(found.cache), _states(whole.cache), strict=True)
    return max([_off(found.logits, whole.logits), *(_off(ours, theirs) for ours, theirs in pairs)])


def _states(cache: Any) -> list[Any]:
    return [each.recurrent_states[0] for each in cache.layers if hasattr(each, "recurrent_states")]


def _off(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


def _drawn(tokens: int, seed: int) -> Any:
    from shoal.llm.ssm.scan import Inputs
    from shoal.train.library import torch_module

    torch, heads, channels, groups, state = torch_module(), 4, 16, 2, 16
    source = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Any:
        return torch.randn(*shape, generator=source)

    steps = torch.nn.functional.softplus(some(1, tokens, heads))
    decay = -torch.arange(1.0, heads + 1)
    written, read = some(1, tokens, groups, state), some(1, tokens, groups, state)
    return Inputs(some(1, tokens, heads, channels), steps, decay, written, read, some(heads))

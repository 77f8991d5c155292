"""A small model with experts on two devices: the same text in every way, what it loses, and how fast it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError, ShoalError, WorkerDied
from shoal.llm.expert_hosting import Hosted, Hosting, decoded_s, hosted, measured
from shoal.llm.library import transformers_module
from shoal.llm.offload.records import write_experts
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.plan.hosted_experts import DEGRADE, EXACT
from shoal.sim.hosted_experts import ends_s
from shoal.study._daop_text import rows

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.cost.hosted_experts import Pace
    from shoal.plan.hosted_experts import Way
    from shoal.store import RoutingTrace

I64 = NDArray[np.int64]
PLACES = 128


@dataclass(frozen=True, eq=False)
class Lab:
    """A model, a file of its experts and routes of text that it was trained on. `lab` makes one."""

    model: PreTrainedModel
    learned: RoutingTrace
    path: Path
    expert_bytes: int

    @property
    def experts(self) -> int:
        """Of all layers."""
        return self.learned.layers * self.learned.experts

    def hosting(self, ratio: float, way: Way = EXACT, **options: Any) -> Hosting:
        """With memory for a share of all experts."""
        return Hosting(int(ratio * self.experts) * self.expert_bytes, way, **options)

    def pace(self, text: I64, **options: Any) -> Pace:
        """As it is measured here; options are those of `Hosting`."""
        return measured(self.model, self.path, self.learned, self.hosting(1.0, **options), text)

    @contextmanager
    def host(self, hosting: Hosting) -> Iterator[Hosted]:
        """The model on two devices."""
        with hosted(self.model, self.path, self.learned, hosting) as found:
            yield found


def lab(kind: str, count: int, folder: Path) -> Lab:
    """A trained small model, and where it sends so many stretches of what it was trained on."""
    from shoal.train.language import corpus, stretches

    model = tiny(kind).module()
    every = stretches(corpus()[0], PLACES).x
    learned = recorded(model, every[np.linspace(0, len(every) - 1, count).astype(int)])
    model.set_experts_implementation("eager")
    index = write_experts(model, folder / f"experts-of-{kind}")
    return Lab(model, learned, folder / f"experts-of-{kind}", max(each.bytes for each in index.records))


def greedy(model: PreTrainedModel, prompt: I64, new: int) -> tuple[list[int], Tensor]:
    """The likeliest bytes after a prompt, and the logits they were taken from."""
    torch = transformers_module("torch")
    symbols, cache, given, logits = torch.from_numpy(prompt), None, list[int](), []
    with torch.no_grad():
        for _ in range(new):
            answer = model(symbols, past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            logits.append(answer.logits[0, -1])
            given.append(int(logits[-1].argmax()))
            symbols = torch.tensor([given[-1:]])
    return given, torch.stack(logits)


def losses_nats(model: PreTrainedModel, texts: I64, prompt: int) -> NDArray[np.float64]:
    """Of the bytes after the prompt, text by text, the mean; all are told what came before."""
    torch = transformers_module("torch")
    found = []
    with torch.no_grad():
        for text in torch.from_numpy(texts):
            first = model(text[None, :prompt], use_cache=True)
            rest = model(text[None, prompt:], past_key_values=first.past_key_values, use_cache=True)
            logits = torch.cat([first.logits[0, -1:], rest.logits[0, :-1]])
            found.append(float(torch.nn.functional.cross_entropy(logits, text[prompt:])))
    return np.array(found)


@dataclass(frozen=True)
class Speed:
    """Of one way."""

    tokens_per_s: float
    foretold: float  # tokens a second by the model of two devices, for the same works
    slow: float  # tokens in experts of the worker, a layer


def speed(made: Lab, host: Hosted, texts: I64, prompt: int) -> Speed:
    """Tokens after the prompt, over all texts."""
    taken_s = foretold_s = slow = 0.0
    for text in texts:
        host.turns.clear()
        taken_s += sum(decoded_s(made.model, text[None], prompt)[1:])
        works = [each.work for each in host.turns[len(host.blocks) :]]
        foretold_s += ends_s(works, host.pace)[-1]
        slow += sum(each.slow for each in works) / len(host.blocks)
    count = texts.size - len(texts) * prompt
    return Speed(count / taken_s, count / foretold_s, slow / count)


def emulated(made: Lab, pace: Pace, share: float) -> float:
    """How long the worker has to take for a token in an expert, so that its answer takes this share of a layer here."""
    return max(0.0, share * layer_s(made, pace) - pace.slow_s)  # what messages take is there anyway


def layer_s(made: Lab, pace: Pace) -> float:
    """Of a layer here, one of a token's experts being the worker's."""
    return pace.attention_s + (made.learned.per_token - 1) * pace.fast_s


def refused(made: Lab, texts: I64) -> tuple[bool, str]:
    """Memory below an expert, a router after the last, a worker that dies in the middle of a token; and what was said."""
    half = made.hosting(0.5, DEGRADE, patience_s=10.0)
    found: list[str] = []

    def said(kind: type[ShoalError], work: Callable[[], object]) -> None:
        try:
            work()
        except kind as fault:
            found.append(fault.message)

    def small() -> None:
        with made.host(replace(half, budget_bytes=made.expert_bytes - 1)):
            pass

    def last() -> None:
        with made.host(half) as host:
            torch = transformers_module("torch")
            host.foreseen(len(host.blocks) - 1, torch.zeros(1, host.blocks[0].router.weight.shape[1]))

    said(LimitError, small)
    said(InputError, last)
    said(WorkerDied, lambda: _dying(made, half, texts))
    alive = _dying(made, made.hosting(1.0), texts)
    return len(found) == 3 and alive, "; ".join(found)


def _dying(made: Lab, hosting: Hosting, texts: I64) -> bool:
    """Read on while the worker is killed in the middle of a token; whether answers are still those of the model."""
    wanted = greedy(made.model, texts[:1, :16], 8)[0]
    with made.host(hosting) as host:
        passes: list[int] = []

        def kill(*_: Any) -> None:
            passes.append(1)
            if len(passes) == 4:
                os.kill(host.there.processes[0], signal.SIGKILL)

        hook = host.blocks[2].router.register_forward_hook(kill)
        try:
            return greedy(made.model, texts[:1, :16], 8)[0] == wanted
        finally:
            hook.remove()


def off(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, of the largest logit."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def texts_of(kinds: tuple[str, ...], count: int) -> I64:
    """So many stretches of each kind."""
    return np.concatenate([rows(kind, count, PLACES) for kind in kinds])

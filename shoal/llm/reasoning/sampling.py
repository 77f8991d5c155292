"""Several chains of thought at once: questions and samples of each in one batch, with one cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.library import transformers_module
from shoal.llm.reasoning.control import ANY, CHOICE, I64, Control, Steering
from shoal.llm.reasoning.marks import Marks

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """How chains are drawn.

    Raises:
        InputError: several samples of each question at temperature 0, which would all be equal.
    """

    samples: int = 1  # of each question
    temperature: float = 0.0  # 0: the likeliest token
    most: int = 64  # tokens, the answer included; a text without an answer by then has none
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.most < 1 or self.temperature < 0:
            raise InputError("no samples, no tokens or a temperature below zero", where="drawn")
        if self.samples > 1 and self.temperature == 0:
            raise InputError("samples at temperature 0 are all equal", needed="a temperature above 0",
                             had=f"{self.samples} samples")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Chains:
    """What was written: n questions, s samples of each."""

    answers: I64  # (n, s) tokens; -1: none could be read
    thought: I64  # (n, s) tokens of thinking
    scores: F64  # (n, s) mean logarithm of the chosen tokens' probability
    written: I64  # (n, s, tokens), the end repeated
    prefill_s: float
    steps_s: tuple[float, ...]  # of each token after the first, all rows together

    @property
    def total_s(self) -> float:
        """Of prefill and all steps."""
        return self.prefill_s + sum(self.steps_s)


def chains(
    model: PreTrainedModel,
    questions: I64,
    marks: Marks,
    control: Control,
    drawn: Drawn | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Chains:
    """Let a model think and answer.

    Args:
        model: in evaluation mode; its cache goes by `past_key_values`.
        questions: (n, tokens), all of one length.
        marks: what divides its text.
        control: of the length; `asked` is for the questions to say.
        drawn: none: one chain each, always the likeliest token.
        clock: seconds.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    torch, drawn = transformers_module("torch"), drawn or Drawn()
    rows = len(questions) * drawn.samples
    steering, source = Steering(rows, marks, control), torch.Generator().manual_seed(drawn.seed)
    symbols, cache = torch.from_numpy(questions), None
    written, logs, times_s = list[I64](), list[F64](), list[float]()
    with torch.no_grad():
        while len(written) < drawn.most and not steering.done.all():
            begun_s, going = clock(), ~steering.done
            found = model(symbols, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits, first, cache = found.logits[:, -1], cache is None, found.past_key_values
            if first and drawn.samples > 1:  # a question is read once for all its samples
                logits = logits.repeat_interleave(drawn.samples, 0)
                cache.batch_repeat_interleave(drawn.samples)
            chosen, log = _chosen(logits, steering.wanted(), marks, drawn.temperature, source)
            steering.take(chosen)
            symbols = torch.from_numpy(chosen)[:, None]
            written.append(chosen)
            logs.append(np.where(going, log, np.nan))
            times_s.append(clock() - begun_s)
    shape = (len(questions), drawn.samples)
    return Chains(
        steering.answers.reshape(shape), steering.thought.reshape(shape),
        np.nanmean(logs, axis=0).reshape(shape), np.stack(written, -1).reshape(*shape, -1),
        times_s[0], tuple(times_s[1:]),
    )  # fmt: skip


def _chosen(logits: Tensor, wanted: I64, marks: Marks, temperature: float, source: Any) -> tuple[I64, F64]:
    """The tokens that follow, and the logarithm of each one's probability among those allowed; 0 where prescribed."""
    torch = transformers_module("torch")
    scores = restricted(logits, wanted, marks)
    logs = torch.log_softmax(scores, -1)
    if temperature:
        found = torch.multinomial(torch.softmax(scores / temperature, -1), 1, generator=source)
    else:
        found = scores.argmax(-1, keepdim=True)
    return found[:, 0].numpy(), logs.gather(-1, found)[:, 0].numpy().astype(np.float64)


def restricted(logits: Tensor, wanted: I64, marks: Marks) -> Tensor:
    """Logits (rows, vocabulary) in which only what is wanted is left."""
    torch = transformers_module("torch")
    allowed = torch.from_numpy(wanted == ANY)[:, None].expand(logits.shape).clone()
    choosing = torch.from_numpy(np.flatnonzero(wanted == CHOICE))
    allowed[choosing[:, None], torch.tensor(marks.choices)[None]] = True
    given = np.flatnonzero(wanted >= 0)
    allowed[torch.from_numpy(given), torch.from_numpy(wanted[given])] = True
    found: Tensor = logits.masked_fill(~allowed, -torch.inf)
    return found

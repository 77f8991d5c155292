"""Texts gone on with by a model whose weights come from a store: one at a time, tokens as they are found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.errors import InputError, ShoalError
from shoal.llm.checkpoint import Kept
from shoal.llm.decoder.writer import BEST
from shoal.llm.library import transformers_module
from shoal.llm.offload.kept import Facts, stored
from shoal.llm.offload.layers import offloaded
from shoal.llm.service import Request, Stream
from shoal.llm.service.generator import Counts
from shoal.llm.service.stream import Ended
from shoal.store import POLICIES, FileTier, TensorStore, Tier, Told
from shoal.units import format_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POLICY = "cyclic"


@dataclass(frozen=True)
class Within:
    """How weights are kept in memory."""

    budget_bytes: int
    ahead: int = 1  # records that are read before their use
    readers: int = 1  # reads at once


class Paged:
    """A generator of one text after another; see `shoal.llm.service.Generator`, whose manners it has."""

    def __init__(self, model: PreTrainedModel, store: TensorStore, label: str, context: int) -> None:
        self._model, self._store, self._context = model, store, context
        self._cancelled, self._threads = threading.Event(), list[threading.Thread]()
        self.counts = Counts(placements=[label])

    def ask(self, request: Request) -> Stream:
        """Begin a text; it goes on while the stream is read or not.

        Raises:
            InputError: nothing to go on from, or more than the model has places for.
        """
        if not 1 <= len(request.tokens) < self._context:
            raise InputError(
                "the prompt does not fit", needed=f"1 to {self._context - 1} tokens", had=str(len(request.tokens))
            )
        stream = Stream(0, request, lambda _: self._cancelled.set())
        self._threads.append(threading.Thread(target=self._go_on, args=(stream,), name="text", daemon=True))
        self._threads[-1].start()
        return stream

    def told(self) -> Told:
        """What was read, and how long texts waited for it."""
        return self._store.told()

    def close(self) -> None:
        """Let no more tokens be found, once the one at work is."""
        self._cancelled.set()
        for each in self._threads:
            each.join()

    def _go_on(self, stream: Stream) -> None:
        ended = Ended("lost", "a defect of shoal")
        try:
            ended = self._found(stream)
        except ShoalError as fault:
            ended = Ended("lost", fault.message)
        finally:
            stream.put(ended)

    def _found(self, stream: Stream) -> Ended:
        torch, request = transformers_module("torch"), stream.request
        symbols, cache = torch.tensor([request.tokens]), None
        most = min(request.most, self._context - len(request.tokens))
        with torch.no_grad():
            for place in range(len(request.tokens), len(request.tokens) + most):
                if self._cancelled.is_set():
                    return Ended("cancelled")
                answer = self._model(symbols, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, token = answer.past_key_values, _chosen(answer.logits[0, -1], request, place)
                if token in request.ends:
                    return Ended("stop")
                stream.put(token)
                self.counts.tokens += 1
                symbols = torch.tensor([[token]])
        return Ended("length")


def _chosen(logits: Any, request: Request, place: int) -> int:
    """As the workers' decoder has it: of the best candidates, among equals the lower token first."""
    scores, candidates = logits.sort(descending=True, stable=True)
    count = min(BEST, len(scores))
    return request.sampling.chosen(scores[:count].numpy(), candidates[:count].numpy(), place)


@contextmanager
def paged(path: Path, budget_bytes: int, ahead: int = 1) -> Iterator[tuple[Kept, Paged]]:
    """A trained model that goes on with texts while its weights stay on disk.

    Raises:
        ModelError: there is no such model, or its kind cannot be read.
        LimitError: the budget is too small; what it would have to be.
        InputError: the cache cannot be written.
        MissingExtra: transformers is not installed.
    """
    found, kept = stored(path)
    label = f"transformers within {format_bytes(budget_bytes)} of weights"
    within = Within(budget_bytes, ahead)
    with served(FileTier(found.path, name="disk"), found.facts, within, label, kept.facts.context) as text:
        yield kept, text


@contextmanager
def served(tier: Tier, facts: Facts, within: Within, label: str, context: int) -> Iterator[Paged]:
    """A model that goes on with texts while its weights lie in a tier, which is closed with it.

    Raises:
        ModelError: the weights are damaged, or another model's.
        LimitError: the budget is too small; what it would have to be.
        MissingExtra: transformers is not installed.
    """
    with ExitStack() as stack:
        stack.callback(tier.close)
        policy = catalog.make(POLICIES, POLICY)
        store = stack.enter_context(TensorStore(tier, within.budget_bytes, policy, readers=within.readers))
        model = stack.enter_context(offloaded(facts.config, facts.laid, store, within.ahead))
        text = Paged(model, store, label, context)
        stack.callback(text.close)
        yield text

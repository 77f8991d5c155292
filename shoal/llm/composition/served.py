"""Whole models of one shape in a tensor store, one module for all of them: a switch is other arrays in the same module.

Exact: the module is transformers' own, and its weights are those of the model that was asked for.
Source: Prabhakar et al., "SambaNova SN40L", MICRO 2024: memory tiers as a cache of experts, least recently used first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError
from shoal.llm.composition.router import Route, Router
from shoal.llm.library import transformers_module
from shoal.llm.offload.skeleton import skeleton
from shoal.llm.tiny import Tiny
from shoal.store import Key, TensorStore, write_file
from shoal.store.values import Arrays

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Answer:
    """To one prompt."""

    route: Route
    tokens: tuple[int, ...]  # given
    router_s: float
    switch_s: float  # until the expert's arrays were there
    assign_s: float  # until they were the module's
    execute_s: float


def write_experts(models: Mapping[str, Tiny], path: Path) -> tuple[str, ...]:
    """Write whole models, each one record, in the order of the names given back.

    Raises:
        InputError: there is none, or they differ in shape.
        WorkError: the file cannot be written.
    """
    first = next(iter(models.values()), None)
    for name, each in models.items():
        if first is None or dict(each.config) != dict(first.config):
            raise InputError("experts of one composition are of one shape", where=name)
    write_file(((Key(at), _arrays(each)) for at, each in enumerate(models.values())), path)
    return tuple(models)


def _arrays(of: Tiny) -> Arrays:
    return {name: np.asarray(each, np.float32) for name, each in of.weights.items()}


class Composition:
    """A router and experts in a store.

    Args:
        config: of every expert, as Hugging Face has it.
        names: of the experts, in the order of their keys.
        store: with all of them; its budget is the fast memory.
        router: to these names.

    Raises:
        InputError: names, keys and the router's experts do not match.
        MissingExtra: transformers is not installed.
    """

    def __init__(self, config: Mapping[str, Any], names: Sequence[str], store: TensorStore, router: Router) -> None:
        if set(store.keys) != {Key(at) for at in range(len(names))} or set(router.experts) - set(names):
            raise InputError("experts, their keys and those of the router do not match", had=", ".join(names))
        self._store, self._router = store, router
        self._keys = {name: Key(at) for at, name in enumerate(names)}
        self._module = skeleton(config)
        self._empty = dict(self._module.state_dict())  # shapes without memory

    def route(self, prompt: bytes) -> Route:
        """See `Router`."""
        return self._router.route(prompt)

    def answers(
        self, prompts: Sequence[bytes], new: int, *, ahead: bool = True, guess: Callable[[str], str] | None = None
    ) -> Iterator[Answer]:
        """The likeliest bytes after each prompt, one request after another.

        Args:
            prompts: in their order.
            new: bytes to give.
            ahead: the next request's expert is read while one answers.
            guess: where the next request is not known yet: who comes after an expert. Read in place of the next one's.
        """
        timed = [self._routed(each) for each in prompts]
        for at, (route, router_s) in enumerate(timed):
            coming = timed[at + 1][0].expert if ahead and at + 1 < len(timed) else None
            if ahead and guess is not None:
                coming = guess(route.expert)
            yield self._answer(prompts[at], route, router_s, new, coming)

    @contextmanager
    def expert(self, name: str) -> Iterator[PreTrainedModel]:
        """The module as this expert; another's after the block's end.

        Raises:
            InputError: there is none of that name.
            ModelError: its weights are not the module's.
        """
        if name not in self._keys:
            raise InputError("no such expert", had=name, needed=", ".join(self._keys))
        with self._store.hold([self._keys[name]]) as (arrays,):
            self._assign(arrays)
            try:
                yield self._module
            finally:
                self._release()

    def _routed(self, prompt: bytes) -> tuple[Route, float]:
        begun_s = time.perf_counter()
        return self.route(prompt), time.perf_counter() - begun_s

    def _answer(self, prompt: bytes, route: Route, router_s: float, new: int, coming: str | None) -> Answer:
        begun_s = time.perf_counter()
        with self._store.hold([self._keys[route.expert]]) as (arrays,):
            there_s = time.perf_counter()
            if coming is not None:
                self._store.preload([self._keys[coming]], instead=True)
            try:
                self._assign(arrays)
                ready_s = time.perf_counter()
                tokens = generated(self._module, prompt, new)
            finally:
                self._release()
            end_s = time.perf_counter()
        return Answer(route, tokens, router_s, there_s - begun_s, ready_s - there_s, end_s - ready_s)

    def _assign(self, arrays: Mapping[str, Any]) -> None:
        """No copy: the module's weights are views of the store's memory."""
        torch = transformers_module("torch")
        given = {name: torch.from_numpy(each) for name, each in arrays.items()}
        for name, source in (self._module.all_tied_weights_keys or {}).items():
            given.setdefault(name, given[source])
        self._module.load_state_dict(given, assign=True)

    def _release(self) -> None:
        """Let go of the store's memory."""
        self._module.load_state_dict(self._empty, assign=True)


def generated(module: PreTrainedModel, prompt: bytes, new: int) -> tuple[int, ...]:
    """The likeliest bytes after a prompt."""
    torch = transformers_module("torch")
    given = torch.tensor([list(prompt)])
    with torch.no_grad():
        found = module.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=new, do_sample=False)
    return tuple(found[0, len(prompt) :].tolist())

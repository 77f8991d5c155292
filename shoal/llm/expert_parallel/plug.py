"""A model of transformers whose experts are in other processes, by transformers' interface of experts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ModelError
from shoal.llm.expert_parallel.experts import F32, Expert
from shoal.llm.expert_parallel.steps import Note
from shoal.llm.expert_parallel.ways import Ways
from shoal.llm.expert_parallel.workers import Workers, workers
from shoal.llm.experts._blocks import Block, blocks
from shoal.llm.experts._handle import Handle
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_numbers = count()
Answer = Callable[[int, "Tensor", "Tensor", "Tensor"], "Tensor"]


@contextmanager
def parallel(
    model: PreTrainedModel,
    native: NDArray[np.int64],
    ways: Ways | None = None,
    workers_count: int = 0,
    note: Note | None = None,
) -> Iterator[Workers]:
    """The model's experts are computed by worker processes inside the block; afterwards it is as before. Exact.

    Args:
        model: of transformers, with experts.
        native: (layers with experts, experts), the worker that holds each; see `even`.
        ways: how they share the work.
        workers_count: 0: as many as the map names.
        note: see `workers`.

    Raises:
        ModelError: no layer has experts, or they are not of gated matrices alone.
        InputError: a map of another shape.
        WorkerDied: inside the block, a worker is gone or says nothing.
    """
    found = blocks(model)
    shape = (len(found), found[0].count)
    if native.shape != shape:
        raise InputError(
            "the map needs a worker for each expert of each layer", needed=str(shape), had=str(native.shape)
        )
    handle = Handle()
    with workers(native, activation_of(found), ways, workers_count, note) as there:
        for layer, block in enumerate(found):
            for number in range(block.count):
                there.hold(layer, number, expert_of(block, number))
        try:
            plugged(handle, model, found, _asking(there))
            yield there
        finally:
            handle.undo()


def plugged(handle: Handle, model: PreTrainedModel, found: Sequence[Block], answer: Answer) -> None:
    """Have experts answered by a function of (place, tokens, choices, gates), under a name that nobody else has."""
    torch = transformers_module("torch")
    registry = transformers_module("transformers.integrations.moe").ALL_EXPERTS_FUNCTIONS
    places = {id(block.experts): place for place, block in enumerate(found)}

    def experts(module: Any, x: Tensor, chosen: Tensor, gates: Tensor) -> Tensor:
        if torch.is_grad_enabled() and (x.requires_grad or gates.requires_grad):
            raise ModelError("experts in other processes give no gradients", hint="run it under torch.no_grad()")
        return answer(places[id(module)], x, chosen, gates)

    name = f"shoal_workers_{next(_numbers)}"
    registry[name] = experts
    handle.later(lambda: registry.pop(name))
    handle.implement(model, name)


def rows_of(values: Tensor) -> F32:
    """A tensor as workers take it."""
    found: F32 = values.detach().float().numpy()
    return found


def _asking(there: Workers) -> Answer:
    torch = transformers_module("torch")

    def answer(place: int, x: Tensor, chosen: Tensor, gates: Tensor) -> Tensor:
        made = there.layer(place, rows_of(x), chosen.numpy(), rows_of(gates))
        found: Tensor = torch.from_numpy(made).to(x.dtype)
        return found

    return answer


def expert_of(block: Block, number: int) -> Expert:
    """The matrices of one, as workers hold them."""
    gate_up, down = (getattr(block.experts, name)[number].detach().float().numpy() for name in ("gate_up_proj", "down_proj"))  # fmt: skip
    return Expert(gate_up, down)


def activation_of(found: list[Block]) -> str:
    """What experts do between their matrices, by its name at transformers.

    Raises:
        ModelError: experts are of another kind.
    """
    moe = transformers_module("transformers.integrations.moe")
    known = transformers_module("transformers.activations").ACT2CLS
    for block in found:
        module = block.experts
        odd = [
            word for word in ("has_bias", "is_transposed", "has_post_expert_norm") if getattr(module, word, True)
        ]
        if odd or not getattr(module, "has_gate", False) or type(module)._apply_gate is not moe._default_apply_gate:
            raise ModelError("workers compute experts of a gate and two matrices", where=f"layer {block.layer}",
                             had=type(module).__name__)  # fmt: skip
    kind = type(found[0].experts.act_fn)
    for name in ("silu", "gelu_pytorch_tanh", "relu"):
        made = known[name]
        if kind is (made[0] if isinstance(made, tuple) else made):
            return name
    raise ModelError("workers do not know the experts' activation", had=kind.__name__)

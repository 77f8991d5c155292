"""One item of a decoder, part by part, on whichever machine: what a planner asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.errors import ModelError
from shoal.machines.accelerators._ternary import streamed
from shoal.machines.accelerators.tellme import Tellme
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.machines.ternary_models._cards import decoding, prompting
from shoal.machines.ternary_models._decoders import TernaryDecoder
from shoal.machines.ternary_models._phases import decode, layer_halves, prefill


@dataclass(frozen=True)
class Item:
    """Sequences that go through all layers together."""

    batch: int
    tokens: int  # new ones of each; one: of a long row of them
    before: int  # a single new one


@dataclass(frozen=True)
class Parts:
    """Seconds of one item: together they are what the machine takes for all of it.

    A layer is a share of the whole, for what one layer loads goes on beside the one before; what the machine has no unit
    for is missing.
    """

    mixer_s: float  # of one layer
    product_s: float  # of one layer
    ends_s: Mapping[str, float]  # "embedding", "head"
    watts: float  # above what it draws for being on


def parts(machine: Any, model: TernaryDecoder, item: Item) -> Parts:
    """What an item takes.

    Raises:
        ModelError: the machine has no formula for whole models, or no unit for this one.
        LimitError: the weights do not fit.
    """
    if isinstance(machine, Tellme):
        return _engine(machine, model, item)
    if isinstance(machine, Tereffic):
        return _cards(machine, model, item)
    raise ModelError("no formula for whole language models", where=type(machine).__name__.lower())


def _engine(machine: Tellme, model: TernaryDecoder, item: Item) -> Parts:
    """The processors beside the engine look symbols up and do the head."""
    if item.batch > 1:
        raise ModelError("several sequences at once", where="tellme", needed="--batch 1", had=str(item.batch))
    found = prefill(machine, model, item.tokens) if item.tokens > 1 else decode(machine, model, item.before)
    halves = [streamed(jobs).cycles for jobs in layer_halves(machine, model, item.tokens, item.before)]
    layers_s = found.seconds - found.head_s
    mixer_s, product_s = (layers_s * each / sum(halves) / model.layers for each in halves)
    ends_s = {"embedding": 0.0, "head": found.head_s}
    return Parts(mixer_s, product_s, ends_s, _watts(found.energy_j, found.seconds))


def _cards(machine: Tereffic, model: TernaryDecoder, item: Item) -> Parts:
    """Embedding and head are not on the cards."""
    if model.heads:
        raise ModelError(
            "no unit for attention", where="tereffic", needed="a decoder without it: docs/ternary_fpga.md"
        )
    if item.tokens > 1:
        found = prompting(machine, model, item.batch * item.tokens)
        item_s, joules = found.token_s, found.energy_j
    else:
        one = decoding(machine, model, item.batch)
        item_s, joules = one.token_s, {name: item.batch * each for name, each in one.energy_j.items()}
    before = sum(each.weights for group in model.groups[:2] for each in group)
    share = before / sum(each.weights for each in model.matrices)
    layer_s = item_s / model.layers
    return Parts(share * layer_s, (1 - share) * layer_s, {}, _watts(joules, item_s))


def _watts(energy_j: Mapping[str, float], seconds: float) -> float:
    return sum(each for name, each in energy_j.items() if name != "static") / seconds

"""Entries of a language model on machines that are not here: their own formulas for whole models, block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.cost import CostKey, Costs, memory
from shoal.engines import machine_of
from shoal.errors import LimitError, ModelError, PlanError
from shoal.fleet import Fleet
from shoal.formats.ternary import Ternary
from shoal.graph import Graph
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.blocks import Step
from shoal.llm.blocks._stored import PLAIN
from shoal.llm.parts import Attention, Dense, Recurrence
from shoal.machines.accelerators import accelerator
from shoal.machines.ternary_models import Item, Parts, TernaryDecoder, parts
from shoal.record import Estimate

Array = NDArray[np.float64]
WHOLE = -1  # the group of a format that has one scale for a matrix


def ternary_decoder(model: Architecture, weights: str) -> TernaryDecoder:
    """The decoder whose matrices ternary engines multiply by.

    Args:
        model: whose layers.
        weights: the format of them.

    Raises:
        ModelError: they are not ternary, or not of the kind; the layer is named.
    """
    form = None if weights in PLAIN else formats.make(weights)
    if not isinstance(form, Ternary) or form.group != WHOLE:
        raise ModelError("the weights are not ternary with one scale for a matrix", where=model.kind,
                         needed="--weights tern5x8t or tern3x5t", had=weights)  # fmt: skip
    first = model.layers[0]
    for at, layer in enumerate(model.layers):
        if not _square(layer, model.width) or layer != first:
            raise ModelError("no formula for such a layer", where=f"{model.kind}, layers.{at}",
                             needed="as many heads of keys as of queries, or a recurrence, as wide as the model; a gated product; "
                             "and all layers alike", had=f"{_said(layer.mixer)}, {_said(layer.product)}")  # fmt: skip
    assert isinstance(first.product, Dense)
    heads = first.mixer.heads if isinstance(first.mixer, Attention) else 0
    return TernaryDecoder(
        model.kind, model.width, len(model.layers), first.product.hidden, model.vocabulary, heads, model.tied
    )


@dataclass(frozen=True, eq=False)
class PhaseCosts:
    """Answers about one entry: machines by what they take for all of it, shared out over its blocks; others by `rest`."""

    graph: Graph
    fleet: Fleet
    rest: Costs
    model: Architecture
    step: Step

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`. What the machine draws for being on is the device's idle power, and not counted again."""
        if machine_of(key.engine) is None:
            return self.rest.estimate(key)
        refusal = self.refusal(key.engine)
        seconds = self.op_seconds(key.unit, key.engine)[[self.graph.position[name] for name in key.ops]]
        for name, each in zip(key.ops, seconds, strict=True):
            if not np.isfinite(each):
                raise PlanError(f"no unit for the block '{name}'", where=key.unit, had=refusal or None)
        need = memory.footprint(self.graph, key.ops, key.engine)
        took_s = float(seconds.sum())
        joules = self._parts(key.engine).watts * took_s
        return Estimate(took_s, joules, need.resident_bytes, need.peak_bytes, "simulated", need.breakdown)

    def op_seconds(self, unit: str, engine: str) -> Array:
        """See `Costs.op_seconds`."""
        if machine_of(engine) is None:
            return self.rest.op_seconds(unit, engine)
        if self.refusal(engine):
            return np.full(len(self.graph.ops), np.inf)
        found = self._parts(engine)
        return np.array([self._block_s(found, op.name) for op in self.graph.ops])

    def of(self, graph: Graph) -> PhaseCosts:
        """See `Costs.of`."""
        return replace(self, graph=graph, rest=self.rest.of(graph))

    def refusal(self, engine: str) -> str:
        """Why a machine has no formula for this entry; empty: it has."""
        found = self._asked(engine)
        return "" if isinstance(found, Parts) else str(found)

    def _parts(self, engine: str) -> Parts:
        found = self._asked(engine)
        assert isinstance(found, Parts)
        return found

    def _asked(self, engine: str) -> Parts | ModelError | LimitError:
        if engine not in self._kept:
            try:
                made = ternary_decoder(self.model, self.step.weights)
                item = Item(self.step.batch, self.step.tokens, max(1, self.step.seen - self.step.tokens))
                self._kept[engine] = parts(accelerator(machine_of(engine) or ""), made, item)
            except (ModelError, LimitError) as fault:
                self._kept[engine] = fault
        return self._kept[engine]

    @cached_property
    def _kept(self) -> dict[str, Parts | ModelError | LimitError]:
        return {}

    def _block_s(self, found: Parts, name: str) -> float:
        """By what a block is called: see `Blocks`."""
        if name.startswith("layers."):
            return found.mixer_s if name.endswith(".mixer") else found.product_s
        end = name.partition(".")[0]
        return found.ends_s.get(end, np.inf) / (self.step.heads if end == "head" else 1)


def _square(layer: Layer, width: int) -> bool:
    """Whether it has four matrices as wide as the model around what mixes tokens, and a gated product."""
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        plain = (
            mixer.heads == mixer.kv_heads
            and mixer.heads * mixer.head == width
            and not (mixer.window or mixer.biased)
        )
    else:
        plain = isinstance(mixer, Recurrence) and mixer.channels == width
    return plain and isinstance(layer.product, Dense)


def _said(part: Any) -> str:
    return type(part).__name__ if part is None or isinstance(part, Dense | Recurrence) else str(part)

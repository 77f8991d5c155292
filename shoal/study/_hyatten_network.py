"""A network with its attention in light: what it answers, and how many results are small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from shoal.machines.accelerators import Array, Arrays, Call, Product, calls
from shoal.machines.accelerators.photonic_attention import PhotonicAttention

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

    from shoal.graph import Graph

DOMAIN = "light"
ATTENTION = {".scores": "queries by keys", ".taken": "shares by values"}  # ends of names


@dataclass(frozen=True, eq=False)
class Tally:
    """Results that were large, by head, and all of a head; an op without heads counts as one."""

    large: Array
    results: int

    @property
    def small_percent(self) -> float:
        """What the small converters hold."""
        return float(100 * (1 - self.large.sum() / (self.results * len(self.large))))

    @property
    def heads_percent(self) -> Array:
        """The same of each head."""
        shares: Array = 100 * (1 - self.large / self.results)
        return shares

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.large + other.large, self.results + other.results)


def together(tallies: Iterable[Tally]) -> float:
    """Of all ops, what the small converters hold, in per cent."""
    found = list(tallies)
    large, results = (
        sum(int(each.large.sum()) for each in found),
        sum(each.results * len(each.large) for each in found),
    )
    return 100 * (1 - large / results)


@dataclass(frozen=True, eq=False)
class Network:
    """A network of which some products can be asked of a machine; those of attention are named as in `ATTENTION`."""

    graph: Graph
    samples: Sequence[Arrays]
    output: str  # what it answers
    _ask: list[Callable[[Call, Array, Array], Array]] = field(default_factory=list)  # one, while it runs

    def answers(self, ask: Callable[[Call, Array, Array], Array]) -> Array:
        """One row an item; `ask` multiplies."""
        self._ask.append(ask)
        try:
            found = [self._evaluator.run([self.output], dict(each)) for each in self.samples]
            return np.concatenate([row for rows in cast(list[list[Array]], found) for row in rows])
        finally:
            self._ask.pop()

    def exact(self) -> Array:
        """In float32."""
        return self.answers(lambda _, left, right: left @ right)

    def operands(self) -> dict[str, list[tuple[Array, Array]]]:
        """What attention multiplies in float32, by op."""
        seen: dict[str, list[tuple[Array, Array]]] = {}

        def kept(call: Call, left: Array, right: Array) -> Array:
            if call.name.endswith(tuple(ATTENTION)):
                seen.setdefault(call.name, []).append((left, right))
            return left @ right

        self.answers(kept)
        return seen

    def lit(self, machine: PhotonicAttention, every: bool = False) -> tuple[Array, Mapping[str, Tally]]:
        """On a machine: attention, or every product; what was small there, by op."""
        tallies: dict[str, Tally] = {}
        tasks: dict[str, Product] = {}

        def asked(call: Call, left: Array, right: Array) -> Array:
            if not every and not call.name.endswith(tuple(ATTENTION)):
                return left @ right
            task = tasks.setdefault(call.name, machine.compiled(call))
            data = dict(zip(names(call), (left, right), strict=True))
            found = machine.sums(task, data)
            seen = _tally(call, found.highs, machine.results(task))
            tallies[call.name] = tallies[call.name] + seen if call.name in tallies else seen
            return task.finished(found.values, data)[call.outputs[0].name]

        return self.answers(asked), tallies

    @cached_property
    def calls(self) -> Mapping[str, Call]:
        """Its products by name."""
        return {each.name: each for each in calls(self.graph.model) if each.kind == "MatMul"}

    @cached_property
    def _evaluator(self) -> ReferenceEvaluator:
        """ONNX's own, whose products go to whoever is asked."""
        import onnx_ir as ir
        from onnx import helper
        from onnx.reference import ReferenceEvaluator
        from onnx.reference.op_run import OpRun

        network = self
        made = ir.to_proto(self.graph.model)
        for node in made.graph.node:
            if node.op_type == "MatMul":
                node.op_type, node.domain = "Asked", DOMAIN
                node.attribute.append(helper.make_attribute("op", node.output[0]))
        made.opset_import.append(helper.make_opsetid(DOMAIN, 1))

        class Asked(OpRun):
            op_domain = DOMAIN

            def _run(self, left: Array, right: Array, op: str = "") -> tuple[Array]:
                return (network._ask[-1](network.calls[op], left, right),)

        return ReferenceEvaluator(made, new_ops=[Asked])


def names(call: Call) -> list[str]:
    """Of an op's inputs."""
    return [each.name for each in call.inputs if each is not None]


def _tally(call: Call, highs: Array, results: int) -> Tally:
    """Of one call; attention gives (items, heads, rows, columns), of which each batch has tiles of its own."""
    shape = call.outputs[0].shape
    heads = shape[1] if call.name.endswith(tuple(ATTENTION)) else 1
    items = shape[0] if heads > 1 else 1
    return Tally(highs.reshape(items, heads, -1).sum((0, 2)), results // heads)

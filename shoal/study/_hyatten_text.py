"""MiniLM with its attention in light: what sentences become, and how many results are small."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
ATTENTION = (".scores", ".taken")  # queries by keys, shares by values


@dataclass
class Tally:
    """Results that were large, and all."""

    large: int = 0
    results: int = 0

    @property
    def small_percent(self) -> float:
        """What the small converters hold."""
        return 100 * (1 - self.large / self.results)


@dataclass(frozen=True, eq=False)
class Encoder:
    """A sentence encoder of which some products can be asked of a machine."""

    graph: Graph
    samples: Sequence[Arrays]
    tokens: int
    _ask: list[Callable[[Call, Array, Array], Array]] = field(default_factory=list)  # one, while it runs

    def embeddings(self, ask: Callable[[Call, Array, Array], Array]) -> Array:
        """One row a sentence, of unit length; `ask` multiplies."""
        self._ask.append(ask)
        try:
            found = [self._evaluator.run(["sentence_embedding"], dict(each)) for each in self.samples]
            return np.concatenate([row for rows in cast(list[list[Array]], found) for row in rows])
        finally:
            self._ask.pop()

    def exact(self) -> Array:
        """In float32."""
        return self.embeddings(lambda _, left, right: left @ right)

    def operands(self) -> dict[str, list[tuple[Array, Array]]]:
        """What attention multiplies in float32, by op."""
        seen: dict[str, list[tuple[Array, Array]]] = {}

        def kept(call: Call, left: Array, right: Array) -> Array:
            if call.name.endswith(ATTENTION):
                seen.setdefault(call.name, []).append((left, right))
            return left @ right

        self.embeddings(kept)
        return seen

    def lit(self, machine: PhotonicAttention, every: bool = False) -> tuple[Array, Mapping[str, Tally]]:
        """On a machine: attention, or every product; what was small there, by op."""
        tallies: dict[str, Tally] = {}
        tasks: dict[str, Product] = {}

        def asked(call: Call, left: Array, right: Array) -> Array:
            if not every and not call.name.endswith(ATTENTION):
                return left @ right
            task = tasks.setdefault(call.name, machine.compiled(call))
            data = dict(zip(names(call), (left, right), strict=True))
            found = machine.sums(task, data)
            tally = tallies.setdefault(call.name, Tally())
            tally.large += int(found.highs.sum())
            tally.results += machine.results(task)
            return task.finished(found.values, data)[call.outputs[0].name]

        return self.embeddings(asked), tallies

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

        encoder = self
        made = ir.to_proto(self.graph.model)
        for node in made.graph.node:
            if node.op_type == "MatMul":
                node.op_type, node.domain = "Asked", DOMAIN
                node.attribute.append(helper.make_attribute("op", node.output[0]))
        made.opset_import.append(helper.make_opsetid(DOMAIN, 1))

        class Asked(OpRun):
            op_domain = DOMAIN

            def _run(self, left: Array, right: Array, op: str = "") -> tuple[Array]:
                return (encoder._ask[-1](encoder.calls[op], left, right),)

        return ReferenceEvaluator(made, new_ops=[Asked])


def names(call: Call) -> list[str]:
    """Of an op's inputs."""
    return [each.name for each in call.inputs if each is not None]


def cosines(one: Array, other: Array) -> Array:
    """Of rows of unit length."""
    return np.asarray((one * other).sum(1), np.float64)


def encoder(items: int, tokens: int, skipped: int = 0) -> Encoder:
    """MiniLM on passages of so many tokens each.

    Raises:
        InputError: the repository's examples, which build it, are not here.
    """
    from shoal.graph import load
    from shoal.study._prose import passages
    from shoal.study._repository import beside

    model = beside("examples.models.minilm")
    graph = load(model.model(), sizes={"batch": 1, "tokens": tokens})
    texts = passages(items + skipped)[skipped:]
    return Encoder(graph, [model.encode([text], tokens) for text in texts], tokens)

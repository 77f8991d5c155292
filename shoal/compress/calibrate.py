"""A network run layer by layer on samples, as it is and with the layers coded so far: what each layer sees.

Only what later ops still read is kept between two layers, in files where it is large, and only one stretch of ops is
loaded at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.activations import Narrow
from shoal.compress.contract import Seen
from shoal.compress.inputs import Inputs
from shoal.compress.layers import Layer
from shoal.compress.rewrite import CodedLayer
from shoal.compress.stretches import session_of
from shoal.errors import InputError
from shoal.graph import Graph, boundary, extract, shelved
from shoal.graph.tidy import label
from shoal.graph.weights import lazy

if TYPE_CHECKING:
    pass

Arrays = Mapping[str, NDArray[Any]]
PLACES = 512  # of an item that are looked at
TOGETHER = 2048  # places taken up at once: moments of a wide layer are large


class Calibration:
    """Walks the layers; between two steps the caller replaces the weights of those just shown."""

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Arrays],
        threads: int = 1,
        rounded: Mapping[str, Narrow] | None = None,
        alone: bool = False,
        inputs: Inputs | None = None,
    ) -> None:
        """What to walk, on what.

        Args:
            graph: the network as it is.
            samples: inputs by name.
            threads: of the runs.
            rounded: the tensors that are rounded to eight bits on the coded side.
            alone: nothing will be coded, so that the float side is all that is run.
            inputs: how products read what they read on the coded side, found on the way.

        Raises:
            InputError: no samples, or one that lacks an input or has another shape.
        """
        check(graph, samples)
        self._graph, self._threads, self._rounded, self._alone = graph, threads, rounded or {}, alone
        self._inputs = inputs or Inputs(graph)
        self.coded = dataclasses.replace(graph, model=graph.model.clone())
        self.nodes = {label(node): node for node in self.coded.model.graph}
        self._float = [dict(sample) for sample in samples]
        self._after = self._float if alone else [self._left(sample) for sample in samples]
        self._done = 0  # ops that ran

    def walk(self, layers: Sequence[Layer]) -> Iterator[tuple[tuple[Layer, ...], Seen]]:
        """The layers that read one tensor, together, in the graph's order, and what they see."""
        by_input: dict[tuple[object, ...], list[Layer]] = {}
        for layer in layers:
            key = (
                layer.input,
                layer.shape[1],
                layer.groups,
                layer.kernel,
                layer.strides,
                layer.pads,
                layer.dilations,
            )
            by_input.setdefault(key, []).append(layer)
        for together in by_input.values():
            self._run(self._graph.position[together[0].op])
            yield tuple(together), self._seen(together[0])

    def replace(self, layer: CodedLayer) -> None:
        """Have the coded side compute with what is stored, decoded when it is read: only codes stay in memory."""
        import onnx_ir as ir

        value = self.coded.model.graph.initializers[layer.layer.weight]
        value.const_value = lazy(lambda: layer.layer.tensor(layer.matrix), ir.DataType.FLOAT, layer.layer.stored)

    def answers(self) -> list[dict[str, NDArray[Any]]]:
        """What the coded side answers to each sample; all layers have to be coded by then."""
        self._run(len(self._graph.ops))
        return [{name: values[name] for name in self._graph.outputs} for values in self._after]

    def _left(self, values: Arrays) -> dict[str, NDArray[Any]]:
        """What is left of these in eight bits."""
        return {
            name: self._rounded[name].rounded(array) if name in self._rounded else array
            for name, array in values.items()
        }

    def _seen(self, layer: Layer) -> Seen:
        seen = Seen(layer.shape[1], layer.groups)
        waiting: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for number, (plain, after) in enumerate(zip(self._float, self._read(layer.input), strict=True), 1):
            both = (layer.seen(x, PLACES, np.random.default_rng(number - 1)) for x in (plain[layer.input], after))
            waiting.append((next(both), next(both)))
            if number == len(self._float) or sum(x.shape[1] for x, _ in waiting) >= TOGETHER:
                x, after_x = (np.concatenate(parts, axis=1) for parts in zip(*waiting, strict=True))
                seen.add(x, after_x, layer.op)
                waiting.clear()
        return seen

    def _read(self, name: str) -> Iterator[NDArray[Any]]:
        """What layers on the coded side read of a tensor, of each sample."""
        self._inputs.settle(name, [values[name] for values in self._after])
        yield from (self._inputs.left(name, values[name]) for values in self._after)

    def _run(self, end: int) -> None:
        """Run the ops up to the one at `end`, which is not run."""
        names = [op.name for op in self._graph.ops[self._done : end]]
        self._done = max(self._done, end)
        if not names:
            return
        inputs, outputs = boundary(self._graph, set(names))
        for graph, kept, left, read in (
            (self._graph, self._float, dict[str, NDArray[Any]], Inputs(self._graph)),
            (self.coded, self._after, self._left, self._inputs),
        ):
            if self._alone and graph is self.coded:
                continue
            with TemporaryDirectory(prefix="shoal-") as folder:
                part = extract(graph, names)
                apart = read.apart(part)
                session = session_of(part, Path(folder) / "part.onnx", self._threads)
                for values in kept:
                    given = {name: values[name] for name in inputs}
                    given |= {second: read.left(name, values[name]) for second, name in apart.items()}
                    found = left(dict(zip(outputs, session.run(list(outputs), given), strict=True)))
                    values.update((name, shelved(array)) for name, array in found.items())
        self._forget()

    def _forget(self) -> None:
        """Let go of what no op to come reads."""
        needed = {
            name for name, readers in self._graph.consumers.items() if any(index >= self._done for index in readers)
        } | set(self._graph.finals)
        for kept in (self._float, self._after):
            for values in kept:
                for name in [name for name in values if name not in needed]:
                    del values[name]


def check(graph: Graph, samples: Sequence[Arrays]) -> None:
    """Refuse no samples, and those that are not inputs of the graph.

    Raises:
        InputError: see above.
    """
    if not samples:
        raise InputError("no calibration samples", hint="--samples FILE")
    for sample in samples:
        check_sample(graph, sample)


def check_sample(graph: Graph, sample: Arrays) -> None:
    """Refuse a sample that does not fit the graph.

    Raises:
        InputError: it lacks an input, has another shape or type, or is not finite.
    """
    for name in graph.inputs:
        tensor, array = graph.tensors[name], sample.get(name)
        if array is None or array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
            had = "none" if array is None else f"{array.dtype} {list(array.shape)}"
            raise InputError(f"a sample does not fit the input '{name}'", needed=f"{tensor.dtype} {list(tensor.shape)}",
                             had=had)  # fmt: skip
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise InputError(f"a sample's '{name}' is not finite")

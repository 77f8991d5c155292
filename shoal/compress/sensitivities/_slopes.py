"""Derivatives of the network's own log-likelihood by its layers' weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shoal.compress.gradients import Differentiable
from shoal.compress.layers import Layer
from shoal.compress.sensitivities.contract import Arrays
from shoal.errors import InputError
from shoal.graph import Graph
from shoal.train.library import torch_module


class Slopes:
    """A network whose layers' weights take gradients."""

    def __init__(self, graph: Graph, layers: Sequence[Layer]) -> None:
        """Raise like `Differentiable`; InputError: the network's first answer is no row of figures."""
        self._torch = torch_module()
        self._network = Differentiable(graph)
        self._output = graph.outputs[0]
        if len(graph.tensors[self._output].shape) != 2:
            raise InputError("the likelihood is that of rows of logits", where=self._output,
                             had=str(list(graph.tensors[self._output].shape)), hint="kl")  # fmt: skip
        made = graph.producer.get(self._output)
        self._shares = made is not None and graph.ops[made].kind == "Softmax"
        names = dict.fromkeys(layer.weight for layer in layers)
        self.leaves: dict[str, Any] = {name: self._network.weights[name].requires_grad_(True) for name in names}

    def logs(self, sample: Arrays) -> Any:
        """Logarithms of the probabilities of one sample's answer, (rows, classes)."""
        feeds = {name: self._torch.from_numpy(array.copy()) for name, array in sample.items()}
        found = self._network(feeds, [self._output])[self._output]
        return found.clamp_min(1e-30).log() if self._shares else self._torch.log_softmax(found, dim=-1)

    def of(self, value: Any, create: bool = False, keep: bool = False) -> tuple[Any, ...]:
        """The derivatives of `value` by each of the leaves.

        With `create` they can be derived in turn; with `keep` others of the same value may follow.
        """
        found: tuple[Any, ...] = self._torch.autograd.grad(
            value, list(self.leaves.values()), create_graph=create, retain_graph=create or keep
        )
        return found

    def drawn(self, logs: Any, seed: int) -> Any:
        """A class for each row, drawn by its probability."""
        source = self._torch.Generator().manual_seed(seed)
        return self._torch.multinomial(logs.detach().exp(), 1, generator=source)

    def signs(self, seed: int) -> Iterator[Any]:
        """Random −1 and 1 of each leaf's shape."""
        source = self._torch.Generator().manual_seed(seed)
        for leaf in self.leaves.values():
            yield self._torch.randint(0, 2, leaf.shape, generator=source).to(leaf.dtype) * 2 - 1

"""A model whose parameters are in memory only while they are used, gathered from the members that have their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.learn.adam import Adam
from shoal.learn.states import Kind, States
from shoal.learn.units import ROOT, Unit
from shoal.train.library import torch_module
from shoal.wire.collectives import Collective, Group, even

if TYPE_CHECKING:
    from torch import Tensor, nn

ITEM = 4  # bytes of a number


class Sharded:
    """Hooks on a module, which itself stays as it is.

    A block's weights are gathered before it runs, in both directions, and let go after it; its gradients are summed as
    soon as all of them are there, and each member writes its part. What is used outside the blocks stays for the step.

    Args:
        model: of torch; its parameters may be on the device "meta".
        units: that its parameters divide into.
        states: this member's part of each.
        group: the members.
        how: they exchange.
    """

    def __init__(
        self, model: nn.Module, units: tuple[Unit, ...], states: States, group: Group, how: Collective
    ) -> None:
        torch = torch_module()
        self._model, self._units, self._states, self._group, self._how = model, units, states, group, how
        self._cuts = [even(each.size, group.members) for each in units]
        self._stage = np.empty(max(each.size for each in units), np.float32)
        self._held = self.peak_bytes = self._stage.nbytes + states.buffer_bytes
        self._flat = [torch.empty(each.size) for each in units]
        self._parameters = [self._replaced(at) for at in range(len(units))]
        for at in range(len(units)):
            self._flat[at].untyped_storage().resize_(0)
            if at != ROOT:
                self._hook(at)

    def step(self, x: Tensor, y: Tensor, adam: Adam, number: int) -> float:
        """One step, from 1, on this member's items; their mean loss before it.

        Raises:
            WorkerDied: another member is gone.
            WorkError: states cannot be written.
            ModelError: what was read is damaged.
        """
        torch = torch_module()
        self._gather(ROOT)
        loss = torch.nn.functional.cross_entropy(self._model(x).flatten(0, 1), y.flatten())
        loss.backward()
        self._scatter(ROOT)
        self._states.sweep(
            lambda weight, gradient, mean, square: adam.update(weight, gradient, mean, square, number)
        )
        self._states.settle(number)
        return float(loss.detach())

    def _replaced(self, at: int) -> list[Any]:
        """Parameters of a unit that lie in its one run of numbers."""
        nn, made = torch_module("torch.nn"), []
        for name, shape, place in self._units[at].spans():
            module, _, leaf = name.rpartition(".")
            made.append(nn.Parameter(self._flat[at][place].view(shape)))
            setattr(self._model.get_submodule(module), leaf, made[-1])
        return made

    def _hook(self, at: int) -> None:
        block, waiting = self._model.get_submodule(self._units[at].module), set[int]()

        def gather(*_: object) -> None:
            self._gather(at)

        def let_go(*_: object) -> None:
            self._let_go(at)

        def summed(parameter: Any) -> None:
            waiting.add(id(parameter))
            if len(waiting) == len(self._parameters[at]):
                waiting.clear()
                self._scatter(at)

        block.register_forward_pre_hook(gather)
        block.register_forward_hook(let_go)
        block.register_full_backward_pre_hook(gather)
        for each in self._parameters[at]:
            each.register_post_accumulate_grad_hook(summed)

    def _gather(self, at: int) -> None:
        """Read this member's part of a unit's weights, and the others'."""
        size, cuts = self._units[at].size, self._cuts[at]
        stage = self._stage[:size]
        self._states.load(at, Kind.WEIGHT, stage[self._own(cuts)])
        self._how.all_gather(self._group, stage, cuts)
        self._flat[at].untyped_storage().resize_(ITEM * size)
        # Through `data`: torch takes a change of what backward will read for a mistake, and this is none.
        self._flat[at].data.copy_(torch_module().from_numpy(stage))
        self._hold(2 * ITEM * size)  # with gradients

    def _let_go(self, at: int) -> None:
        self._flat[at].untyped_storage().resize_(0)
        self._hold(-2 * ITEM * self._units[at].size)

    def _scatter(self, at: int) -> None:
        """Sum a unit's gradients with the others', and write this member's part of the mean."""
        stage, cuts = self._stage[: self._units[at].size], self._cuts[at]
        for parameter, (_, _, place) in zip(self._parameters[at], self._units[at].spans(), strict=True):
            stage[place] = parameter.grad.numpy().reshape(-1)
            parameter.grad = None
        self._how.reduce_scatter(self._group, stage, cuts)
        own = stage[self._own(cuts)]
        own /= np.float32(self._group.members)
        self._states.keep(at, Kind.GRADIENT, own)
        self._let_go(at)

    def _own(self, cuts: tuple[int, ...]) -> slice:
        return slice(*cuts[self._group.rank : self._group.rank + 2])

    def _hold(self, more: int) -> None:
        self._held += more
        self.peak_bytes = max(self.peak_bytes, self._held)

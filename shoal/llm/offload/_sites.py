"""Where transformers has a layer's experts: a module that asks its interface of experts how to multiply."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

ROUTERS = ("gate", "router")  # what a layer calls it


@dataclass(frozen=True, eq=False)
class Site:
    """One layer's experts and their router."""

    experts: Any  # of transformers
    router: Any  # gives (logits, weights, indices)
    names: tuple[str, ...]  # of the stacked parameters, in each of which every expert has its own first index

    @property
    def count(self) -> int:
        """Experts there are."""
        return int(self.experts.num_experts)

    @property
    def per_token(self) -> int:
        """Experts that a token meets."""
        return int(getattr(self.router, "top_k", 1))

    def stack(self, name: str) -> nn.Parameter:
        """A stacked parameter."""
        found: nn.Parameter = self.experts._parameters[name]
        return found

    def own_way(self, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """What the model's own class computes, one expert after another, in the order of their numbers."""
        found: Tensor = type(self.experts).forward.__wrapped__(self.experts, hidden, chosen, weights)
        return found

    def free(self) -> None:
        """Leave the parameters their shape and no memory; whoever reads them past the store reads no numbers."""
        for name in self.names:
            parameter = self.stack(name)
            parameter.data = parameter.data.new_full((), math.nan).expand(parameter.shape)

    @contextmanager
    def standing(self, of: Callable[[int, str], Tensor]) -> Iterator[None]:
        """Where the class looks for stacked matrices, it finds what gives an expert's: `of` its number and the name."""
        inside = vars(self.experts)
        for name in self.names:
            inside[name] = _Stack(of, name)
        try:
            yield
        finally:
            for name in self.names:
                del inside[name]


@dataclass(frozen=True, eq=False)
class _Stack:
    """Stands for a stacked parameter: [expert] is that expert's matrix."""

    of: Callable[[int, str], Tensor]
    name: str

    def __getitem__(self, expert: Any) -> Tensor:
        return self.of(int(expert), self.name)


def sites(model: nn.Module) -> list[Site]:
    """The layers that have experts, in the order of use.

    Raises:
        ModelError: there is none.
    """
    found = []
    for parent in model.modules():
        experts: Any = getattr(parent, "experts", None)
        router = next((getattr(parent, name) for name in ROUTERS if hasattr(parent, name)), None)
        if router is not None and hasattr(getattr(type(experts), "forward", None), "__wrapped__"):
            count = getattr(experts, "num_experts", 0)
            names = (name for name, each in experts.named_parameters(recurse=False) if each.shape[0] == count)
            found.append(Site(experts, router, tuple(names)))
    if not found:
        raise ModelError("no layer of the model has experts", needed="a router, and experts that transformers' interface serves",
                         had=type(model).__name__)  # fmt: skip
    return found

"""Training in one process: the same recipe, data and network give the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, WorkError
from shoal.train.data import Items
from shoal.train.library import torch_module, torch_threads
from shoal.train.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

Loss = Callable[["Tensor", "Tensor"], "Tensor"]  # outputs of the network, classes → a figure
Penalty = Callable[["nn.Module", int], "Tensor | None"]  # network and step → what is added to the loss


@dataclass(frozen=True, eq=False)
class Fitted:
    """How training went; the network is changed in place."""

    losses: tuple[float, ...]  # of each step
    penalties: tuple[float, ...]  # the part of it that was the penalty
    duration_s: float

    @property
    def step_s(self) -> float:
        """Mean time of a step."""
        return self.duration_s / len(self.losses)


def fit(
    model: nn.Module,
    data: Items,
    recipe: Recipe,
    *,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    arm: str = "",
) -> Fitted:
    """Train `model` in place, and leave it ready for use (in evaluation mode).

    Args:
        model: takes (batch, *features) and gives what the loss reads: (batch, classes) for cross-entropy.
        data: of which the training items are used.
        recipe: how.
        loss: of outputs and classes; none: cross-entropy.
        penalty: what is added to it.
        arm: the experiment's name, for messages.

    Raises:
        MissingExtra: torch is not installed.
        WorkError: the loss is not finite; step and arm are named.
    """
    torch = torch_module()
    measure: Loss = loss or torch.nn.functional.cross_entropy
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    steps, extra = [], []
    with _alone(recipe), _training(model):
        parameters = [each for each in model.parameters() if each.requires_grad]
        if not parameters:
            raise InputError("the network has nothing to train", where=arm or None)
        optimiser = _optimiser(torch, parameters, recipe)
        begun = time.perf_counter()
        for step, chosen in enumerate(_batches(len(data.x), recipe)):
            _set_progress(model, step / recipe.steps)
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate_at(step)
            value = measure(model(x[chosen]), y[chosen])
            added = penalty(model, step) if penalty else None
            whole = value if added is None else value + added
            steps.append(_finite(whole, step, arm))
            extra.append(0.0 if added is None else float(added.detach()))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(whole)
            if recipe.clip:
                torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimiser.step()
        duration_s = time.perf_counter() - begun
    _set_progress(model, 1.0)
    return Fitted(tuple(steps), tuple(extra), duration_s)


def predicted(model: nn.Module, x: NDArray[Any], batch: int = 512) -> NDArray[np.float32]:
    """What the network gives for each item, (n, classes); it is in evaluation mode for that, and one thread works."""
    torch = torch_module()
    was = model.training
    model.eval()
    with torch.no_grad(), torch_threads(1):
        parts = [model(torch.from_numpy(x[at : at + batch])).numpy() for at in range(0, len(x), batch)]
    model.train(was)
    return np.concatenate(parts)


def accuracy(model: nn.Module, x: NDArray[Any], y: NDArray[np.int64]) -> float:
    """The share of items whose class has the largest output; 0 for a network that gives no finite figures."""
    found = predicted(model, x)
    right = (found.argmax(axis=1) == y) & np.isfinite(found).all(axis=1)
    return float(right.mean())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from this seed inside the block, and goes on as before after it: for making networks.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch = torch_module()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _alone(recipe: Recipe) -> Iterator[None]:
    """The recipe's seed and threads, for the block only."""
    with torch_threads(recipe.threads), seeded(recipe.seed):
        yield


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    model.train()
    try:
        yield
    finally:
        model.eval()


def _optimiser(torch: Any, parameters: list[Any], recipe: Recipe) -> Any:
    if recipe.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=recipe.rate, weight_decay=recipe.decay)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.95))
    return torch.optim.SGD(parameters, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay)


def _batches(count: int, recipe: Recipe) -> Iterator[NDArray[np.int64]]:
    """Indices of each step's items: every item once before any comes again. A batch is never a single item."""
    source, order = np.random.default_rng(recipe.seed), np.zeros(0, np.int64)
    size = min(recipe.batch, count)
    for _ in range(recipe.steps):
        if len(order) < size:
            order = source.permutation(count)
        chosen, order = order[:size], order[size:]
        yield chosen


def _finite(value: Tensor, step: int, arm: str) -> float:
    found = float(value.detach())
    if not math.isfinite(found):
        raise WorkError("the loss is not finite", where=f"{arm}, step {step}" if arm else f"step {step}",
                        had=f"{found:g}", hint="train at a smaller rate")  # fmt: skip
    return found


def _set_progress(model: nn.Module, share: float) -> None:
    """Tell the layers that change as training goes on how far it is, from 0 to 1."""
    for module in model.modules():
        if hasattr(module, "progress"):
            told: Any = module
            told.progress = share

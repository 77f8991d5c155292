"""The two networks, trained; kept. Needs torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from shoal import cache, codec
from shoal.machines.edge_moe import Shape
from shoal.study._edge_moe_net import VisionExperts
from shoal.study._edge_moe_task import CLASS, OUTPUTS, PATCH, PATCHES, TURN, Turned
from shoal.train import Recipe, fit, seeded
from shoal.train.library import torch_threads

KIND, VERSION = "trained", 1  # raise it when the same settings give other weights
TINY = Shape(PATCHES, PATCH * PATCH, width=32, heads=2, layers=4, hidden=64, experts=8, chosen=2, expert_hidden=32)


@dataclass(frozen=True)
class Training:
    """A network and how it is trained."""

    dense: bool
    recipe: Recipe
    copies: int  # ways in which each digit is turned

    def trained(self, data: Turned, say: Callable[[str], None]) -> VisionExperts:
        """The network, trained now or before."""
        name = "dense twin" if self.dense else "experts"

        def build(folder: Path) -> None:
            say(f"training the {name}")
            made = self._drawn()
            found = fit(made, data, self.recipe, loss=_loss, penalty=_uneven, arm=name)
            say(f"{found.duration_s:.0f} s, loss {np.mean(found.losses[-20:]):.3f}")
            codec.save_arrays(
                {name: each.detach().numpy() for name, each in made.state_dict().items()}, folder / "weights.npz"
            )

        key = hashlib.sha256(repr(("edge_moe", VERSION, self, TINY)).encode()).hexdigest()
        made = self._drawn().eval()
        with np.load(cache.entry(KIND, key, build) / "weights.npz") as weights:
            made.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights})
        return made

    def _drawn(self) -> VisionExperts:
        with seeded(self.recipe.seed):
            return VisionExperts(TINY, OUTPUTS, self.dense)


def answered(model: VisionExperts, x: np.ndarray, task: int) -> np.ndarray:
    """What the network in float gives for a task."""
    with torch.no_grad(), torch_threads(1):
        return model.answer(torch.from_numpy(x), task).numpy()


def _loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of classes and the squared error of turns."""
    turns = nn.functional.mse_loss(outputs[:, OUTPUTS[CLASS]], y[:, TURN])
    return nn.functional.cross_entropy(outputs[:, : OUTPUTS[CLASS]], y[:, CLASS].long()) + 5 * turns


def _uneven(model: nn.Module, _: int) -> Tensor:
    assert isinstance(model, VisionExperts)
    return model.uneven()

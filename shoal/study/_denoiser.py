"""The module that is trained to tell noise; needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from shoal.compress.gradients import Differentiable
from shoal.study._diffusion import MEMORY, Schedule
from shoal.study._unet import NOISE, PICTURE, TIME


class Denoiser(nn.Module):
    """Adds noise to pictures, as much as a step drawn for each has, and gives what the network says is off."""

    def __init__(self, network: Differentiable, names: Sequence[str], schedule: Schedule, features: int) -> None:
        """The network, which of its weights to learn, how much noise, and in how many features time comes."""
        super().__init__()
        self.names = names
        self.learned = nn.ParameterList([nn.Parameter(network.weights[name]) for name in names])
        network.weights.update(zip(names, self.learned, strict=True))
        self._network, self._schedule, self._features = network, schedule, features

    def forward(self, pictures: Tensor) -> Tensor:
        """Of (n, 1, 8, 8)."""
        steps = torch.randint(self._schedule.steps, (len(pictures),)).numpy()
        kept = torch.from_numpy(self._schedule.kept[steps].astype(np.float32)).view(-1, 1, 1, 1)
        noise = torch.randn(pictures.shape)
        noised = kept.sqrt() * pictures + (1 - kept).sqrt() * noise
        told = torch.from_numpy(self._schedule.features(steps, self._features))
        found: Tensor = self._network({PICTURE: noised, TIME: told}, [NOISE])[NOISE]
        return found - noise


class RunningMean:
    """Of a denoiser's weights while it is trained; the first steps count less."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._means = [each.detach().clone() for each in denoiser.learned]

    def __call__(self, _: nn.Module, step: int) -> None:
        """Take the weights up."""
        for mean, each in zip(self._means, self._denoiser.learned, strict=True):
            mean.lerp_(each.detach(), 1 - min(MEMORY, (1 + step) / (10 + step)))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """By name."""
        return {name: mean.numpy() for name, mean in zip(self._denoiser.names, self._means, strict=True)}


def lost(off: Tensor, _: Tensor) -> Tensor:
    """The mean square."""
    return (off**2).mean()

"""Adam on whatever part of the numbers is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Adam:
    """[Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015], in the order of operations of torch.

    Raises:
        InputError: a figure that it does not work with.
    """

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        if not (self.rate > 0 and 0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.epsilon > 0):
            raise InputError("rates and epsilon are above zero, betas from zero to below one", where="adam",
                             had=str(self))  # fmt: skip

    def update(self, weight: F32, gradient: F32, mean: F32, square: F32, step: int) -> None:
        """Change weights and both means in place.

        Args:
            weight: any run of them.
            gradient: of the same; it stays.
            mean: of gradients so far.
            square: the mean of their squares.
            step: from 1.
        """
        mean += (gradient - mean) * np.float32(1 - self.beta1)
        square *= np.float32(self.beta2)
        square += gradient * gradient * np.float32(1 - self.beta2)
        spread = np.sqrt(square) / np.float32(math.sqrt(1 - self.beta2**step)) + np.float32(self.epsilon)
        weight -= np.float32(self.rate / (1 - self.beta1**step)) * (mean / spread)

"""What a quantiser of activations is: samples of a tensor → what rounds it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class Rounding(Protocol):
    """What is known of a tensor, once it is known; `activations.Range` is one, too."""

    def rounded(self, x: NDArray[Any]) -> F32:
        """What is left of `x`, (…, channels), of the same shape."""


class Quantiser(Protocol):
    """A technique of `compress/quantisers`."""

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at the tensor beforehand."""

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Rounding:
        """What rounds the tensor.

        Args:
            samples: places of the tensor, (places, channels); none: unseen.
            importance: (channels,): how much an error in a channel counts, at least 0; none: all alike.

        Raises:
            InputError: it needs samples, or they are not finite.
        """

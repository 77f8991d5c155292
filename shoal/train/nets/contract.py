"""What a small network is: built for any task, its inner products float or binary, its first and last float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.binary import Algorithm
    from shoal.train.data import Shape


class Net(Protocol):
    """A technique of `train/nets`."""

    @property
    def kind(self) -> str:
        """ "CNN", "transformer" or "MLP"."""

    def build(self, task: Shape, algorithm: Algorithm | None = None) -> nn.Module:
        """A network for the task; torch's seed decides its weights.

        Args:
            task: what its items are.
            algorithm: of the binary products; none: they are float.

        Raises:
            InputError: the task's items do not fit.
        """

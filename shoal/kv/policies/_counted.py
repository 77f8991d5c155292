"""The bytes that a store moves, counted by the tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.kv.policies.contract import Traffic

if TYPE_CHECKING:
    from torch import Tensor


class Counted:
    """What stores have in common: a length and the bytes since they were last asked for."""

    def __init__(self) -> None:
        self.length = 0
        self._read = self._written = 0

    def traffic(self) -> Traffic:
        """See `Store.traffic`."""
        moved, self._read, self._written = Traffic(self._read, self._written), 0, 0
        return moved

    def read(self, *tensors: Tensor) -> None:
        """Note that all of these is read."""
        for each in tensors:
            self._read += each.nbytes

    def wrote(self, *tensors: Tensor) -> None:
        """Note that all of these was written."""
        for each in tensors:
            self._written += each.nbytes

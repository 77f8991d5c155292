"""A tensor that grows along one axis without being copied for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SPARE = 256  # rows that are there beyond those needed, at least


class Growing:
    """Rows along the third axis of (batch, heads, rows, …); what was not written is zero."""

    def __init__(self, multiple: int = 1) -> None:
        """Args: `multiple`: what the rows that there is room for are a multiple of."""
        self.rows, self.multiple = 0, multiple
        self._held: Tensor | None = None

    @property
    def whole(self) -> Tensor:
        """All rows, those that are not in use included: contiguous."""
        assert self._held is not None, "something was appended"
        return self._held

    @property
    def used(self) -> Tensor:
        """The rows in use, a view."""
        return self.whole.narrow(2, 0, self.rows)

    def append(self, new: Tensor) -> Tensor:
        """Add rows, and give all that are in use."""
        begun, count = self.rows, new.shape[2]
        if self._held is None or begun + count > self._held.shape[2]:
            self._held = self._roomier(new, begun + count)
        self._held.narrow(2, begun, count).copy_(new)
        self.rows = begun + count
        return self._held.narrow(2, 0, self.rows)

    def keep(self, rows: int) -> None:
        """Let go of all rows but the first."""
        self.rows = rows

    def _roomier(self, like: Tensor, rows: int) -> Tensor:
        """Room for at least so many rows of the kind of `like`, with those in use."""
        room = max(rows + SPARE, 0 if self._held is None else self._held.shape[2] * 3 // 2)
        room = -(-room // self.multiple) * self.multiple
        fresh = like.new_zeros((*like.shape[:2], room, *like.shape[3:]))
        if self._held is not None:
            fresh[:, :, : self.rows] = self.used
        return fresh

"""What a task is: data that is there without a download of its own, divided always in the same way."""

from __future__ import annotations

from typing import Protocol

from shoal.train.data import Data


class Task(Protocol):
    """A technique of `train/tasks`."""

    @property
    def pictures(self) -> bool:
        """Whether items are pictures in grey, which can be corrupted as such."""

    def load(self) -> Data:
        """Its items.

        Raises:
            MissingExtra: the package whose data it is is not installed.
        """

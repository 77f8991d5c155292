"""The door to torch, which is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoal.errors import MissingExtra


def torch_module(name: str = "torch") -> Any:
    """A module that needs torch, or torch itself.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        if (fault.name or "").partition(".")[0] != "torch":
            raise
        raise MissingExtra("PyTorch", "train") from fault


@contextmanager
def torch_threads(count: int = 1) -> Iterator[None]:
    """So many threads of torch's, for the block only.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch = torch_module()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
